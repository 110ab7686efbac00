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
)

// plan makes definitions of the wishes, one for each path.
func (c *converter) plan() *Plan {
	c.oneVault()
	c.oneClaim()
	p := &Plan{Passed: c.passed, option: c.options}
	byPath := make(map[definition.SecretPath][]*wish)
	for _, w := range c.wishes {
		byPath[w.secretPath] = append(byPath[w.secretPath], w)
	}
	names := c.names(byPath)
	for path, wishes := range byPath {
		if err := p.carry(names[path], path, wishes); err != nil {
			for _, w := range wishes {
				c.add(w.from.finding(Refused, w.from.line, "", err.Error(), ""))
			}
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
		if w.address != "" {
			addresses[w.address] = true
		}
	}
	if len(addresses) < 2 || c.options.VaultAddress != "" {
		return
	}
	c.refuse(func(w *wish) (string, string) {
		if w.address == "" {
			return "", ""
		}
		return "is in the vault " + plain(w.address) + ", and other resources are in other ones", "say by --vault-address which one is the tenant's"
	})
}

// oneClaim refuses what would claim a Secret that another value is copied to.
func (c *converter) oneClaim() {
	claims := make(map[definition.Place]map[definition.SecretPath]*wish)
	for _, w := range c.wishes {
		for _, place := range w.targets {
			if claims[place] == nil {
				claims[place] = make(map[definition.SecretPath]*wish)
			}
			if claims[place][w.secretPath] == nil {
				claims[place][w.secretPath] = w
			}
		}
	}
	held := make(map[definition.Place]definition.Definition)
	for _, d := range c.options.Existing {
		for _, t := range d.Sync {
			held[t.Place(d.Name)] = d
		}
	}
	keepers := c.keepers()
	c.refuse(func(w *wish) (string, string) {
		for _, place := range w.targets {
			for path, other := range claims[place] {
				if path != w.secretPath {
					return fmt.Sprintf("the Secret %s is also that of %s, with another value", place, other.from), "give each its own Secret"
				}
			}
			if d, ok := held[place]; ok && d.Name != keepers[w.secretPath] {
				return fmt.Sprintf("the Secret %s is a target of definition %s already", place, d.Name), "take it out there first"
			}
		}
		return "", ""
	})
}

// keepers returns the definition that each path has already, the lesser of two.
func (c *converter) keepers() map[definition.SecretPath]definition.Name {
	names := make(map[definition.SecretPath]definition.Name)
	for _, d := range c.options.Existing {
		if name := names[d.SecretPath]; name.IsZero() || d.Name.String() < name.String() {
			names[d.SecretPath] = d.Name
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

// names gives each path a name of its own: that of its Secrets, so that targets
// need no secretName; where another path has the same, its path's, with a number
// if need be. A path that has a definition already keeps its name.
func (c *converter) names(byPath map[definition.SecretPath][]*wish) map[definition.SecretPath]definition.Name {
	names := c.keepers()
	taken := make(map[definition.Name]bool)
	for _, d := range c.options.Existing {
		taken[d.Name] = true
	}
	wanted := make(map[definition.Name]int)
	paths := slices.SortedFunc(maps.Keys(byPath), func(a, b definition.SecretPath) int { return cmp.Compare(a.String(), b.String()) })
	for _, path := range paths {
		wanted[nameOfSecrets(byPath[path])]++
	}
	for _, path := range paths {
		if !names[path].IsZero() {
			continue
		}
		name := nameOfSecrets(byPath[path])
		if name.IsZero() || wanted[name] > 1 || taken[name] {
			name = nameFrom(path.String())
		}
		if name.IsZero() {
			name = nameFrom("value")
		}
		for n := 2; taken[name]; n++ {
			name = nameFrom(fmt.Sprintf("%.55s-%d", cmp.Or(nameFrom(path.String()).String(), "value"), n))
		}
		names[path], taken[name] = name, true
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

// carry adds the definition of a path. One that is there already keeps its
// targets, in their order, and gets more.
func (p *Plan) carry(name definition.Name, path definition.SecretPath, wishes []*wish) error {
	places := make(map[definition.Place]bool)
	var from []string
	var targets []definition.Target
	there := make(map[definition.Place]bool)
	for _, d := range p.option.Existing {
		if d.Name != name {
			continue
		}
		targets = slices.Clone(d.Sync)
		for _, t := range d.Sync {
			there[t.Place(name)] = true
		}
	}
	for _, w := range wishes {
		from = append(from, w.from.String())
		for _, place := range w.targets {
			if !there[place] {
				places[place] = true
			}
		}
	}
	if n := len(targets) + len(places); n > definition.MaxTargets {
		return fmt.Errorf("%s would have %d targets, and a definition has at most %d", path, n, definition.MaxTargets)
	}
	for _, place := range slices.SortedFunc(maps.Keys(places), func(a, b definition.Place) int { return cmp.Compare(a.String(), b.String()) }) {
		t := definition.Target{Cluster: place.Cluster, Namespace: place.Namespace, SecretName: place.Secret}
		if (definition.Target{}).Secret(name) == place.Secret {
			t.SecretName = definition.SecretName{}
		}
		targets = append(targets, t)
	}
	d, err := definition.New(name, path, targets)
	if err != nil {
		return errors.New("makes no valid definition: " + err.Error())
	}
	p.Definitions = append(p.Definitions, Carried{d, from})
	for _, w := range wishes {
		p.moves = append(p.moves, moving{wish: w, definition: name.String(), place: w.from.String()})
	}
	return nil
}
