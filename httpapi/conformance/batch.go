package conformance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// batchItem is what a batch answers for one operation.
type batchItem struct {
	Op     string      `json:"op"`
	Name   string      `json:"name"`
	Status int         `json:"status"`
	ETag   string      `json:"etag"`
	Secret *SecretBody `json:"secret"`
}

func (p *probe) batch(operations string, extra ...string) reply {
	return p.call(http.MethodPost, "/secrets:batch", `{"operations":[`+operations+`]}`, extra...)
}

// batchChecks hold what the contract says of several changes in one commit.
var batchChecks = []sentence{
	{"a batch creates, changes and deletes in one commit, and answers with each definition and its ETag", func(p *probe) {
		changed, gone := p.create("[]"), p.create("[]")
		name := p.name()
		p.created = append(p.created, name)
		r := p.want(p.batch(fmt.Sprintf(`{"op":"create","name":%q,"secretPath":"a"},{"op":"patch","name":%q,"sync":[%s],"ifMatch":"\"%s\""},{"op":"delete","name":%q,"ifMatch":"*"}`,
			name, changed.Name, p.target(), changed.ResourceVersion, gone.Name)), 200)
		var answer struct{ Items []batchItem }
		p.decode(r, &answer)
		if len(answer.Items) != 3 {
			p.fatal("%d items for 3 operations", len(answer.Items))
		}
		made, patched, deleted := answer.Items[0], answer.Items[1], answer.Items[2]
		if made.Status != 201 || patched.Status != 200 || deleted.Status != 204 || made.Op != "create" || patched.Op != "patch" || deleted.Op != "delete" || deleted.Name != gone.Name {
			p.bad("the items are %s", r.body)
		}
		if made.Secret == nil || patched.Secret == nil || deleted.Secret != nil || deleted.ETag != "" {
			p.fatal("the items are %s", r.body)
		}
		if made.Secret.ResourceVersion != patched.Secret.ResourceVersion {
			p.bad("two commits: %s and %s", made.Secret.ResourceVersion, patched.Secret.ResourceVersion)
		}
		for _, item := range []batchItem{made, patched} {
			if item.ETag != `"`+item.Secret.ResourceVersion+`"` || item.Secret.Name != item.Name {
				p.bad("%+v", item)
			}
			if now := p.read(item.Name); now.ResourceVersion != item.Secret.ResourceVersion {
				p.bad("%s is at %s; the batch answered %s", item.Name, now.ResourceVersion, item.ETag)
			}
		}
		if w := r.header.Get("Warning"); !strings.HasPrefix(w, "299 ") || !strings.Contains(w, "conformance-nowhere") {
			p.bad("Warning is %q; want 299 and the cluster's name", w)
		}
		p.refused(p.get("/secrets/"+gone.Name), 404)
	}},
	{"if one operation of a batch can't be made none is, and the error names it with the status it has alone", func(p *probe) {
		first, second := p.create("[]"), p.create("[]")
		free, target := p.name(), p.sharedTarget()
		holder := p.create("[" + target + "]")
		p.created = append(p.created, free)
		for operation, status := range map[string]int{
			fmt.Sprintf(`{"op":"patch","name":%q,"sync":[],"ifMatch":"\"%s\""}`, second.Name, strings.Repeat("0", 40)):                    412,
			fmt.Sprintf(`{"op":"delete","name":%q,"ifMatch":"W/\"%s\""}`, second.Name, second.ResourceVersion):                            412,
			fmt.Sprintf(`{"op":"create","name":%q,"secretPath":"a"}`, second.Name):                                                        409,
			fmt.Sprintf(`{"op":"patch","name":%q,"sync":[]}`, p.name()):                                                                   404,
			fmt.Sprintf(`{"op":"delete","name":%q}`, p.name()):                                                                            404,
			fmt.Sprintf(`{"op":"patch","name":%q,"sync":[%s]}`, second.Name, target):                                                      409,
			fmt.Sprintf(`{"op":"create","name":%q,"secretPath":"a","sync":[%s]}`, p.name(), target):                                       409,
			fmt.Sprintf(`{"op":"patch","name":%q,"sync":[{"cluster":"c","namespace":"n"},{"cluster":"c","namespace":"n"}]}`, second.Name): 400,
		} {
			r := p.batch(fmt.Sprintf(`{"op":"create","name":%q,"secretPath":"a"},%s,{"op":"patch","name":%q,"sync":[%s]}`, free, operation, first.Name, p.target()), "Prefer: handling=strict")
			p.within(operation, func() { p.refused(r, status, "operations[1]") })
			if status == 409 && strings.Contains(operation, target) {
				p.refused(r, status, holder.Name)
			}
		}
		p.refused(p.get("/secrets/"+free), 404)
		if now := p.read(first.Name); now.ResourceVersion != first.ResourceVersion {
			p.bad("the third operation was made")
		}
	}},
	{"two definitions swap their targets in one batch, also with Prefer: handling=strict", func(p *probe) {
		x, y := p.sharedTarget(), p.sharedTarget()
		a, b := p.create("["+x+"]"), p.create("["+y+"]")
		r := p.want(p.batch(fmt.Sprintf(`{"op":"patch","name":%q,"sync":[%s]},{"op":"patch","name":%q,"sync":[%s]}`, a.Name, y, b.Name, x), "Prefer: handling=strict"), 200)
		if strings.Contains(string(r.body), "TargetConflict") {
			p.bad("%s", r.body)
		}
		if got := r.header.Get("Preference-Applied"); got != "handling=strict" {
			p.bad("Preference-Applied is %q", got)
		}
		c := p.create("[]")
		r = p.want(p.batch(fmt.Sprintf(`{"op":"patch","name":%q,"sync":[%s]}`, c.Name, x)), 200)
		if !slices.ContainsFunc(r.header.Values("Warning"), func(w string) bool { return strings.Contains(w, b.Name) }) || !strings.Contains(string(r.body), "TargetConflict") {
			p.bad("a target that is held: Warning %q, %s", r.header.Values("Warning"), r.body)
		}
	}},
	{"a batch that changes nothing keeps the ETags", func(p *probe) {
		target := p.target()
		made := p.create("[" + target + "]")
		var answer struct{ Items []batchItem }
		p.decode(p.want(p.batch(fmt.Sprintf(`{"op":"patch","name":%q,"sync":[%s]}`, made.Name, target)), 200), &answer)
		if len(answer.Items) != 1 || answer.Items[0].ETag != `"`+made.ResourceVersion+`"` {
			p.bad("%+v", answer.Items)
		}
	}},
}
