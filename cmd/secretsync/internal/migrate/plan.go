package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
	"secretsync/gitstore/definition/parse"
)

// plan makes definitions of the wishes, one for each content.
func (c *converter) plan() *Plan {
	c.oneVault()
	c.oneClaim()
	p := &Plan{Passed: c.passed, option: c.options}
	alike := make(map[string][]*wish)
	for _, w := range c.wishes {
		alike[w.likeness] = append(alike[w.likeness], w)
	}
	names := c.names(alike)
	for content, wishes := range alike {
		if err := p.carry(names[content], wishes); err != nil {
			for _, w := range wishes {
				c.add(w.from.finding(Refused, w.from.line, "", err.Error(), ""))
			}
			continue
		}
		carried := p.Definitions[len(p.Definitions)-1].Definition
		for _, w := range wishes {
			c.tellDifference(w, carried)
		}
	}
	slices.SortFunc(p.Definitions, func(a, b Carried) int {
		return cmp.Compare(a.Definition.Name.String(), b.Definition.Name.String())
	})
	slices.SortFunc(p.moves, func(a, b moving) int {
		return cmp.Or(cmp.Compare(a.definition, b.definition), cmp.Compare(a.place, b.place))
	})
	slices.SortFunc(c.findings, compareFindings)
	p.Findings = slices.Compact(c.findings)
	return p
}

// tellDifference tells where a definition says another thing than one of the resources
// it stands for: others are asked for as well, or it was there and keeps its own.
func (c *converter) tellDifference(w *wish, d definition.Definition) {
	interval := definition.Interval{}
	if d.Shape != nil {
		interval = d.Shape.RefreshInterval
	}
	if own := w.shape.RefreshInterval; !own.IsZero() && own.Duration() != interval.Duration() {
		says := "in the tenant's interval"
		if !interval.IsZero() {
			says = "every " + interval.String()
		}
		c.add(w.from.finding(Note, w.from.line, "", fmt.Sprintf("asks for the value every %s, and definition %s does %s", own, d.Name, says), "write another refreshInterval there if that matters"))
	}
	for _, t := range d.Sync {
		for _, workload := range w.restart.Workloads() {
			if slices.Contains(w.targets, t.Place(d.Name)) && !slices.Contains(t.Restart.Workloads(), workload) {
				c.add(w.from.finding(Left, w.from.line, "", fmt.Sprintf("restarts %s, and the target %s of definition %s restarts others", workload, t.Place(d.Name), d.Name), "add it there"))
			}
		}
	}
}

// refuse drops the wishes that are refused for the reason they are given.
func (c *converter) refuse(reason func(*wish) (text, remedy string)) {
	c.wishes = slices.DeleteFunc(c.wishes, func(w *wish) bool {
		text, remedy := reason(w)
		if text != "" {
			c.add(w.from.finding(Refused, w.from.line, "", text, remedy))
		}
		return text != ""
	})
}

// oneVault refuses what is of different vaults: a path is one value in each.
func (c *converter) oneVault() {
	addresses := make(map[string]bool)
	for _, w := range c.wishes {
		for _, v := range w.values {
			if v.address != "" {
				addresses[v.address] = true
			}
		}
	}
	if len(addresses) < 2 || c.options.VaultAddress != "" {
		return
	}
	c.refuse(func(w *wish) (string, string) {
		for _, v := range w.values {
			if v.address != "" {
				return "is in the vault " + plain(v.address) + ", and other resources are in other ones", "say by --vault-address which one is the tenant's"
			}
		}
		return "", ""
	})
}

// oneClaim refuses what would claim a Secret that another value is copied to.
func (c *converter) oneClaim() {
	claims := make(map[definition.Place]map[string]*wish)
	for _, w := range c.wishes {
		for _, place := range w.targets {
			if claims[place] == nil {
				claims[place] = make(map[string]*wish)
			}
			if claims[place][w.likeness] == nil {
				claims[place][w.likeness] = w
			}
		}
	}
	held := make(map[definition.Place][]definition.Definition)
	for _, d := range c.options.Existing {
		for _, t := range d.Sync {
			held[t.Place(d.Name)] = append(held[t.Place(d.Name)], d)
		}
	}
	keepers := c.keepers()
	c.refuse(func(w *wish) (string, string) {
		for _, place := range w.targets {
			for _, content := range slices.Sorted(maps.Keys(claims[place])) {
				if other := claims[place][content]; content != w.likeness && !share(&w.shape, &other.shape) {
					return fmt.Sprintf("the Secret %s is also that of %s, with another value", place, other.from), "give each its own Secret"
				}
			}
			for _, d := range held[place] {
				if d.Name != keepers[w.likeness] && !share(&w.shape, d.Shape) {
					return fmt.Sprintf("the Secret %s is a target of definition %s already", place, d.Name), "take it out there first"
				}
			}
		}
		return "", ""
	})
}

// share reports whether a Secret can be of both: with keys that only one names.
func share(a, b *definition.Shape) bool {
	return a.Merges() && b.Merges() && !slices.ContainsFunc(a.Data, func(k definition.DataKey) bool {
		return slices.ContainsFunc(b.Data, func(o definition.DataKey) bool { return k.Key == o.Key })
	})
}

// keepers returns the definition that each content has already, the lesser of two.
func (c *converter) keepers() map[string]definition.Name {
	names := make(map[string]definition.Name)
	for _, d := range c.options.Existing {
		content := likeness(d.SecretPath, d.Shape)
		if name := names[content]; name.IsZero() || d.Name.String() < name.String() {
			names[content] = d.Name
		}
	}
	return names
}

var notInLabel = regexp.MustCompile(`[^a-z0-9]+`)

// nameFrom makes a definition's name of a text. It is zero where that can't be done.
func nameFrom(text string) definition.Name {
	label := strings.Trim(notInLabel.ReplaceAllString(strings.ToLower(text), "-"), "-")
	name, err := definition.ParseName(strings.Trim(label[:min(len(label), 59)], "-"))
	if err != nil {
		return definition.Name{}
	}
	return name
}

// names gives each content a name of its own: that of its Secrets, so that targets
// need no secretName; where another one has the same, its path's, with a number if
// need be. One that has a definition already keeps its name.
func (c *converter) names(alike map[string][]*wish) map[string]definition.Name {
	names := c.keepers()
	taken := make(map[definition.Name]bool)
	for _, d := range c.options.Existing {
		taken[d.Name] = true
	}
	wanted := make(map[definition.Name]int)
	contents := slices.SortedFunc(maps.Keys(alike), func(a, b string) int {
		return cmp.Or(cmp.Compare(alike[a][0].secretPath.String(), alike[b][0].secretPath.String()), cmp.Compare(a, b))
	})
	for _, content := range contents {
		wanted[nameOfSecrets(alike[content])]++
	}
	for _, content := range contents {
		if !names[content].IsZero() {
			continue
		}
		path, name := alike[content][0].secretPath, nameOfSecrets(alike[content])
		if name.IsZero() || wanted[name] > 1 || taken[name] {
			name = nameFrom(path.String())
		}
		if name.IsZero() {
			name = nameFrom("value")
		}
		for n := 2; taken[name]; n++ {
			name = nameFrom(fmt.Sprintf("%.55s-%d", cmp.Or(nameFrom(path.String()).String(), "value"), n))
		}
		names[content], taken[name] = name, true
	}
	return names
}

// nameOfSecrets is the name most of the Secrets have, the lesser one of two.
func nameOfSecrets(wishes []*wish) definition.Name {
	count := make(map[string]int)
	for _, w := range wishes {
		count[w.secret] += len(w.targets)
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	name, err := definition.ParseName(names[0])
	if err != nil {
		return definition.Name{}
	}
	return name
}

// carry adds the definition of a content. One that is there already keeps what it
// says and its targets, in their order, and gets more.
func (p *Plan) carry(name definition.Name, wishes []*wish) error {
	d := definition.Definition{Name: name, SecretPath: wishes[0].secretPath}
	shape := wishes[0].shape
	existing := slices.IndexFunc(p.option.Existing, func(d definition.Definition) bool { return d.Name == name })
	if existing >= 0 {
		d, shape = p.option.Existing[existing], definition.Shape{}
		d.Sync = slices.Clone(d.Sync)
		if d.Shape != nil {
			shape = *d.Shape
		}
	}
	if existing < 0 || !shape.RefreshInterval.IsZero() {
		shape.RefreshInterval = shortest(shape.RefreshInterval, wishes)
	}
	if d.Shape = &shape; shape.Equal(&definition.Shape{}) {
		d.Shape = nil
	}
	restarts := make(map[definition.Place][]string)
	var from []string
	for _, w := range wishes {
		from = append(from, w.from.String())
		for _, place := range w.targets {
			workloads := restarts[place]
			for _, workload := range w.restart.Workloads() {
				if !slices.Contains(workloads, workload) {
					workloads = append(workloads, workload)
				}
			}
			restarts[place] = workloads
		}
	}
	var err error
	for i, t := range d.Sync {
		place := t.Place(name)
		if workloads := restarts[place]; len(workloads) > 0 && t.Restart.IsZero() {
			if d.Sync[i].Restart, err = definition.ParseRestart(workloads); err != nil {
				return err
			}
		}
		delete(restarts, place)
	}
	if n := len(d.Sync) + len(restarts); n > definition.MaxTargets {
		return fmt.Errorf("%s would have %d targets, and a definition has at most %d", d.SecretPath, n, definition.MaxTargets)
	}
	for _, place := range slices.SortedFunc(maps.Keys(restarts), func(a, b definition.Place) int { return cmp.Compare(a.String(), b.String()) }) {
		t := definition.Target{Cluster: place.Cluster, Namespace: place.Namespace, Selector: place.Selector, SecretName: place.Secret}
		if (definition.Target{}).Secret(name) == place.Secret {
			t.SecretName = definition.SecretName{}
		}
		if t.Restart, err = definition.ParseRestart(restarts[place]); err != nil {
			return err
		}
		d.Sync = append(d.Sync, t)
	}
	// What the format says of each field, its reader knows.
	if _, err := parse.File(definition.Folder+"/"+name.String()+definition.FileSuffix, edit.Encode(d)); err != nil {
		if problems := (definition.FileErrors)(nil); errors.As(err, &problems) && len(problems) > 0 {
			return errors.New("makes no valid definition: " + problems[0].Cause)
		}
		return errors.New("makes no valid definition")
	}
	p.Definitions = append(p.Definitions, Carried{d, from})
	for _, w := range wishes {
		p.moves = append(p.moves, moving{wish: w, definition: name.String(), place: w.from.String()})
	}
	return nil
}

// shortest is the interval in which the vault is asked for what several copy.
func shortest(interval definition.Interval, wishes []*wish) definition.Interval {
	for _, w := range wishes {
		if i := w.shape.RefreshInterval; !i.IsZero() && (interval.IsZero() || i.Duration() < interval.Duration()) {
			interval = i
		}
	}
	return interval
}
