package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	fullSHA = regexp.MustCompile(`^[0-9a-f]{40}$`)
	phases  = []string{"Active", "Pending", "Degraded", "Failed"}
	states  = []string{"Synced", "Pending", "Error"}
)

var secretChecks = []sentence{
	{"POST answers 201 with the definition, its ETag and its Location", func(p *probe) {
		name := p.name()
		p.created = append(p.created, name)
		r := p.want(p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"production/db","sync":[%s]}`, name, p.target())), 201)
		s := p.secret(r)
		if s.Name != name || s.SecretPath != "production/db" || len(s.Sync) != 1 {
			p.bad("answer is not what was sent: %s", r.body)
		}
		if got, want := r.header.Get("ETag"), `"`+s.ResourceVersion+`"`; got != want {
			p.bad("ETag is %s; want the resourceVersion %s", got, want)
		}
		if !fullSHA.MatchString(s.ResourceVersion) {
			p.bad("resourceVersion %q is no commit SHA", s.ResourceVersion)
		}
		if got, want := r.header.Get("Location"), "/api/v1/tenants/"+p.tenant+"/secrets/"+name; !strings.HasSuffix(got, want) {
			p.bad("Location is %q; want %q", got, want)
		}
	}},
	{"GET answers 200 with the definition and its ETag", func(p *probe) {
		made := p.create("[" + p.target() + "]")
		r := p.want(p.get("/secrets/"+made.Name), 200)
		s := p.secret(r)
		if s.ResourceVersion != made.ResourceVersion || r.header.Get("ETag") != `"`+made.ResourceVersion+`"` {
			p.bad("resourceVersion %s, ETag %s; created at %s", s.ResourceVersion, r.header.Get("ETag"), made.ResourceVersion)
		}
		if ct := r.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
			p.bad("Content-Type %q", ct)
		}
	}},
	{"the list is sorted by name and holds every definition", func(p *probe) {
		var want []string
		for range 3 {
			want = append(want, p.create("[]").Name)
		}
		var list struct{ Items []SecretBody }
		p.decode(p.want(p.get("/secrets"), 200), &list)
		var names []string
		for _, s := range list.Items {
			names = append(names, s.Name)
		}
		if !slices.IsSorted(names) {
			p.bad("not sorted: %v", names)
		}
		for _, name := range want {
			if !slices.Contains(names, name) {
				p.bad("%s is not listed", name)
			}
		}
	}},
	{"sync is [] where there is no target, whether absent, null or empty in the request", func(p *probe) {
		for _, sync := range []string{``, `,"sync":null`, `,"sync":[]`} {
			name := p.name()
			p.created = append(p.created, name)
			r := p.want(p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"a"%s}`, name, sync)), 201)
			for _, r := range []reply{r, p.get("/secrets/" + name)} {
				if !bytes.Contains(r.body, []byte(`"sync":[]`)) || !bytes.Contains(r.body, []byte(`"syncStatuses":[]`)) {
					p.bad("with %q: %s", sync, r.body)
				}
			}
			if s := p.read(name); s.Status.Phase != "Active" {
				p.bad("phase %s; Active is right with no target", s.Status.Phase)
			}
		}
	}},
	{"the order of targets is kept, and secretName is absent where it was not given", func(p *probe) {
		space := p.name()
		sync := fmt.Sprintf(`[{"cluster":"conformance-z","namespace":"%[1]s"},{"cluster":"conformance-a","namespace":"%[1]s","secretName":"x.y"},{"cluster":"conformance-m","namespace":"%[1]s"}]`, space)
		s := p.read(p.create(sync).Name)
		if len(s.Sync) != 3 || s.Sync[0].Cluster != "conformance-z" || s.Sync[1].Cluster != "conformance-a" || s.Sync[2].Cluster != "conformance-m" {
			p.fatal("order not kept: %+v", s.Sync)
		}
		if s.Sync[0].SecretName != nil || s.Sync[1].SecretName == nil || *s.Sync[1].SecretName != "x.y" {
			p.bad("secretName: %+v", s.Sync)
		}
		for i, want := range []string{s.Name, "x.y", s.Name} {
			if got := s.Status.SyncStatuses[i].SecretName; got != want {
				p.bad("status %d is of the Secret %q; want %q", i, got, want)
			}
		}
	}},
	{"status has a phase, the condition Ready, and one entry for each target in order", func(p *probe) {
		s := p.create("[" + p.target() + "," + p.target() + "]")
		if !slices.Contains(phases, s.Status.Phase) {
			p.bad("phase %q", s.Status.Phase)
		}
		if len(s.Status.Conditions) != 1 || s.Status.Conditions[0].Type != "Ready" || !slices.Contains([]string{"True", "False"}, s.Status.Conditions[0].Status) || s.Status.Conditions[0].Reason == "" {
			p.bad("conditions %+v", s.Status.Conditions)
		} else {
			p.utc("lastTransitionTime", s.Status.Conditions[0].LastTransitionTime)
		}
		if len(s.Status.SyncStatuses) != 2 {
			p.fatal("%d syncStatuses for 2 targets", len(s.Status.SyncStatuses))
		}
		for i, st := range s.Status.SyncStatuses {
			if st.Cluster != s.Sync[i].Cluster || st.Namespace != s.Sync[i].Namespace || !slices.Contains(states, st.State) || st.Reason == "" {
				p.bad("syncStatuses[%d] %+v does not fit %+v", i, st, s.Sync[i])
			}
		}
	}},
	{"a cluster that is not registered is accepted, with a Warning and reason ClusterNotFound", func(p *probe) {
		name := p.name()
		p.created = append(p.created, name)
		r := p.want(p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"a","sync":[%s]}`, name, p.target())), 201)
		if w := r.header.Get("Warning"); !strings.HasPrefix(w, "299 ") || !strings.Contains(w, "conformance-nowhere") {
			p.bad("Warning is %q; want 299 and the cluster's name", w)
		}
		if st := p.secret(r).Status; len(st.SyncStatuses) != 1 || st.SyncStatuses[0].Reason != "ClusterNotFound" || st.SyncStatuses[0].State != "Error" || st.Phase != "Failed" {
			p.bad("status %+v", st)
		}
		if r := p.call(http.MethodPatch, "/secrets/"+name, `{"sync":[`+p.target()+`]}`); r.header.Get("Warning") == "" {
			p.bad("PATCH gives no Warning")
		}
	}},
	{"a target's status names the revision that it was judged by, which follows each change", func(p *probe) {
		s := p.create("[" + p.target() + "]")
		for range 2 {
			deadline := time.Now().Add(30 * time.Second)
			for now := s; len(now.Status.SyncStatuses) != 1 || now.Status.SyncStatuses[0].Observed != s.ResourceVersion; now = p.read(s.Name) {
				if time.Now().After(deadline) {
					p.fatal("observedRevision is not %s: %+v", s.ResourceVersion, now.Status)
				}
				select {
				case <-p.ctx.Done():
					p.fatal("%v", p.ctx.Err())
				case <-time.After(50 * time.Millisecond):
				}
			}
			s = p.secret(p.want(p.call(http.MethodPatch, "/secrets/"+s.Name, `{"sync":[`+p.target()+`]}`), 200))
		}
	}},
	{"createdAt is RFC 3339 in UTC and stays when the definition changes", func(p *probe) {
		made := p.create("[]")
		p.utc("createdAt", made.CreatedAt)
		changed := p.secret(p.want(p.call(http.MethodPatch, "/secrets/"+made.Name, `{"sync":[`+p.target()+`]}`), 200))
		if changed.CreatedAt != made.CreatedAt {
			p.bad("createdAt went from %s to %s", made.CreatedAt, changed.CreatedAt)
		}
	}},
	{"PATCH replaces the whole list and answers 200 with the new ETag", func(p *probe) {
		made := p.create("[" + p.target() + "," + p.target() + "]")
		r := p.want(p.call(http.MethodPatch, "/secrets/"+made.Name, `{"sync":[`+p.target()+`]}`), 200)
		s := p.secret(r)
		if len(s.Sync) != 1 || s.Sync[0].Namespace == made.Sync[0].Namespace {
			p.bad("sync is %+v", s.Sync)
		}
		if s.ResourceVersion == made.ResourceVersion || r.header.Get("ETag") != `"`+s.ResourceVersion+`"` {
			p.bad("resourceVersion %s after %s, ETag %s", s.ResourceVersion, made.ResourceVersion, r.header.Get("ETag"))
		}
		if s.SecretPath != made.SecretPath {
			p.bad("secretPath went to %s", s.SecretPath)
		}
	}},
	{"PATCH with [] and with null clears the list and keeps the definition", func(p *probe) {
		for _, empty := range []string{"[]", "null"} {
			made := p.create("[" + p.target() + "]")
			if s := p.secret(p.want(p.call(http.MethodPatch, "/secrets/"+made.Name, `{"sync":`+empty+`}`), 200)); s.Sync == nil || len(s.Sync) != 0 {
				p.bad("with %s sync is %+v", empty, s.Sync)
			}
			p.read(made.Name)
		}
	}},
	{"PATCH that changes nothing keeps the ETag", func(p *probe) {
		target := p.target()
		made := p.create("[" + target + "]")
		if s := p.secret(p.want(p.call(http.MethodPatch, "/secrets/"+made.Name, `{"sync":[`+target+`]}`), 200)); s.ResourceVersion != made.ResourceVersion {
			p.bad("resourceVersion went from %s to %s", made.ResourceVersion, s.ResourceVersion)
		}
	}},
	{"DELETE answers 204 without a body, and then the definition is gone", func(p *probe) {
		made := p.create("[]")
		if r := p.want(p.call(http.MethodDelete, "/secrets/"+made.Name, ""), 204); len(r.body) != 0 {
			p.bad("body %q", r.body)
		}
		p.refused(p.get("/secrets/"+made.Name), 404, `\"`+made.Name+`\"`)
		p.refused(p.get("/secrets/ghost"), 404, `\"ghost\"`)
		p.refused(p.call(http.MethodDelete, "/secrets/"+made.Name, ""), 404)
		p.refused(p.call(http.MethodPatch, "/secrets/"+made.Name, `{"sync":[]}`), 404)
	}},
	{"a name that exists already is 409", func(p *probe) {
		made := p.create("[]")
		p.refused(p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"b"}`, made.Name)), 409, `\"`+made.Name+`\"`)
	}},
	{"a target that another definition claims is accepted, with TargetConflict and a Warning that names the holder", func(p *probe) {
		target := p.sharedTarget()
		holder := p.create("[" + target + "]")
		conflicts := func(r reply, status int) {
			s := p.secret(p.want(r, status))
			if len(s.Status.SyncStatuses) != 1 || s.Status.SyncStatuses[0].Reason != "TargetConflict" || s.Status.SyncStatuses[0].State != "Error" || s.Status.Phase != "Failed" {
				p.bad("%s: status %+v", r.call, s.Status)
			}
			if !slices.ContainsFunc(r.header.Values("Warning"), func(w string) bool { return strings.HasPrefix(w, "299 ") && strings.Contains(w, holder.Name) }) {
				p.bad("%s: Warning is %q; want 299 and the holder's name %s", r.call, r.header.Values("Warning"), holder.Name)
			}
			if got := r.header.Get("Preference-Applied"); got != "" && got != "handling=lenient" {
				p.bad("%s: Preference-Applied is %q", r.call, got)
			}
		}
		name := p.name()
		p.created = append(p.created, name)
		conflicts(p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"b","sync":[%s]}`, name, target)), 201)
		other := p.create("[]")
		conflicts(p.call(http.MethodPatch, "/secrets/"+other.Name, `{"sync":[`+target+`]}`, "Prefer: handling=lenient"), 200)
		if r := p.want(p.call(http.MethodPatch, "/secrets/"+holder.Name, `{"sync":[`+target+`]}`), 200); strings.Contains(string(r.body), "TargetConflict") {
			p.bad("the holder lost the target: %s", r.body)
		}
	}},
	{"a target that another definition claims is 409 with Prefer: handling=strict, names that definition, and writes nothing", func(p *probe) {
		target := p.sharedTarget()
		holder := p.create("[" + target + "]")
		for _, strict := range []string{"Prefer: handling=strict", "Prefer: wait=10, Handling=\"strict\"; x=y"} {
			name := p.name()
			p.created = append(p.created, name)
			r := p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"b","sync":[%s]}`, name, target), strict)
			p.refused(r, 409, holder.Name)
			if got := r.header.Get("Preference-Applied"); got != "handling=strict" {
				p.bad("%s: Preference-Applied is %q", r.call, got)
			}
			p.refused(p.get("/secrets/"+name), 404)
			free := p.want(p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"b","sync":[%s]}`, name, p.target()), strict), 201)
			if got := free.header.Get("Preference-Applied"); got != "handling=strict" {
				p.bad("%s: Preference-Applied is %q", free.call, got)
			}
			other := p.create("[]")
			p.refused(p.call(http.MethodPatch, "/secrets/"+other.Name, `{"sync":[`+target+`]}`, strict), 409, holder.Name)
			if s := p.read(other.Name); s.ResourceVersion != other.ResourceVersion || len(s.Sync) != 0 {
				p.bad("the refused PATCH was written")
			}
		}
	}},
	{"two definitions swap their targets, and one is renamed: the new one made, then the old one deleted", func(p *probe) {
		x, y := p.sharedTarget(), p.sharedTarget()
		a, b := p.create("["+x+"]"), p.create("["+y+"]")
		p.want(p.call(http.MethodPatch, "/secrets/"+a.Name, `{"sync":[`+y+`]}`), 200)
		for _, c := range [][2]string{{b.Name, x}, {a.Name, y}} {
			r := p.want(p.call(http.MethodPatch, "/secrets/"+c[0], `{"sync":[`+c[1]+`]}`, "Prefer: handling=strict"), 200)
			if strings.Contains(string(r.body), "TargetConflict") {
				p.bad("after the swap: %s", r.body)
			}
		}
		renamed := p.create("[" + x + "]")
		p.want(p.call(http.MethodDelete, "/secrets/"+b.Name, ""), 204)
		if r := p.want(p.call(http.MethodPatch, "/secrets/"+renamed.Name, `{"sync":[`+x+`]}`, "Prefer: handling=strict"), 200); strings.Contains(string(r.body), "TargetConflict") {
			p.bad("after the old one went: %s", r.body)
		}
	}},
}

// sharedTarget makes a target that several definitions can claim.
func (p *probe) sharedTarget() string {
	return strings.TrimSuffix(p.target(), "}") + `,"secretName":"shared"}`
}

// conditionChecks hold what the contract says of ETag, If-Match and their like.
var conditionChecks = []sentence{
	{"a commit that touches other definitions leaves an ETag as it is", func(p *probe) {
		made := p.create("[]")
		p.create("[]")
		if s := p.read(made.Name); s.ResourceVersion != made.ResourceVersion {
			p.bad("resourceVersion went from %s to %s", made.ResourceVersion, s.ResourceVersion)
		}
	}},
	{"If-Match lets a write pass with the ETag, with * and with a list that holds it", func(p *probe) {
		s := p.create("[]")
		for _, match := range []string{`"%s"`, `*`, `"0000000000000000000000000000000000000000", "%s"`, `W/"x" , ,"%s"`} {
			if strings.Contains(match, "%s") {
				match = fmt.Sprintf(match, s.ResourceVersion)
			}
			r := p.call(http.MethodPatch, "/secrets/"+s.Name, `{"sync":[`+p.target()+`]}`, "If-Match: "+match)
			if r.status != 200 {
				p.bad("If-Match: %s answers %d %s", match, r.status, r.body)
				continue
			}
			s = p.secret(r)
		}
		p.want(p.call(http.MethodDelete, "/secrets/"+s.Name, "", `If-Match: "`+s.ResourceVersion+`"`), 204)
	}},
	{"If-Match with another tag, an old one or a weak one is 412, and nothing is written", func(p *probe) {
		old := p.create("[]")
		s := p.secret(p.want(p.call(http.MethodPatch, "/secrets/"+old.Name, `{"sync":[`+p.target()+`]}`), 200))
		for _, match := range []string{
			`"` + old.ResourceVersion + `"`, `W/"` + s.ResourceVersion + `"`, `"0000000000000000000000000000000000000000"`, `"no-revision"`, `""`,
			`"` + s.ResourceVersion[:39] + `"`, `"` + strings.ToUpper(s.ResourceVersion) + `x"`,
		} {
			p.refused(p.call(http.MethodPatch, "/secrets/"+s.Name, `{"sync":[]}`, "If-Match: "+match), 412)
			p.refused(p.call(http.MethodDelete, "/secrets/"+s.Name, "", "If-Match: "+match), 412)
		}
		if now := p.read(s.Name); now.ResourceVersion != s.ResourceVersion || len(now.Sync) != 1 {
			p.bad("something was written: %+v", now)
		}
	}},
	{"a malformed If-Match is 400, and nothing is written", func(p *probe) {
		s := p.create("[]")
		for _, match := range []string{s.ResourceVersion, `"` + s.ResourceVersion, `"a" "b"`, `*, "a"`, `w/"a"`, `,`} {
			p.refused(p.call(http.MethodDelete, "/secrets/"+s.Name, "", "If-Match: "+match), 400, "If-Match")
		}
		p.read(s.Name)
	}},
	{"of writers that hold the same ETag one wins and all others get 412", func(p *probe) {
		s := p.create("[]")
		const writers = 8
		replies := make([]reply, writers)
		var all sync.WaitGroup
		for i := range writers {
			body := `{"sync":[` + p.target() + `]}`
			q := *p // with a record of its own of what was found
			all.Go(func() {
				_ = q.check(func(q *probe) {
					replies[i] = q.call(http.MethodPatch, "/secrets/"+s.Name, body, `If-Match: "`+s.ResourceVersion+`"`)
				})
			})
		}
		all.Wait()
		won := 0
		for _, r := range replies {
			switch r.status {
			case 200:
				won++
			case 412:
			default:
				p.bad("one writer got %d %s", r.status, r.body)
			}
		}
		if won != 1 {
			p.bad("%d of %d writers won", won, writers)
		}
	}},
	{"If-None-Match on GET is not honoured", func(p *probe) {
		s := p.create("[]")
		p.want(p.get("/secrets/"+s.Name, `If-None-Match: "`+s.ResourceVersion+`"`), 200)
		p.want(p.get("/secrets/"+s.Name, `If-None-Match: *`), 200)
	}},
}

// utc records a time that is not RFC 3339 in UTC.
func (p *probe) utc(field, s string) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Location() != time.UTC {
		p.bad("%s %q is not RFC 3339 in UTC", field, s)
	}
}
