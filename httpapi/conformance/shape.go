package conformance

import (
	"bytes"
	"fmt"
	"net/http"
)

// shapeChecks hold what the contract says of the fields beside name, secretPath and
// sync.
var shapeChecks = []sentence{
	{"each further field comes back as it was sent, and is absent where it was not", func(p *probe) {
		name := p.name()
		p.created = append(p.created, name)
		const fields = `"type":"Opaque","mode":"Own","data":{"a":{"key":"x"},"b":{"template":"{{ .x }}"}},"labels":{},"annotations":{"example.com/a":"b c"},"deletionPolicy":"Retain","suspend":false,"refreshInterval":"90s"`
		sent := fmt.Sprintf(`{"name":%q,"secretPath":"a",%s,"sync":[{"cluster":"conformance-nowhere","namespaceSelector":{"matchLabels":{"team":"a"}},"restart":["deployment/web"]}]}`, name, fields)
		for _, r := range []reply{p.want(p.call(http.MethodPost, "/secrets", sent), 201), p.want(p.get("/secrets/"+name), 200)} {
			if !bytes.Contains(r.body, []byte(`"secretPath":"a",`+fields+`,"sync":[{"cluster":"conformance-nowhere","namespaceSelector":{"matchLabels":{"team":"a"}},"restart":["deployment/web"]}]`)) {
				p.bad("%s", r.body)
			}
		}
		plain := p.want(p.get("/secrets/"+p.create("[]").Name), 200)
		for _, field := range []string{"type", "mode", "data", "labels", "annotations", "deletionPolicy", "suspend", "refreshInterval"} {
			if bytes.Contains(plain.body, []byte(`"`+field+`":`+"\"")) && field != "type" || bytes.Contains(plain.body, []byte(`"`+field+`":{`)) {
				p.bad("%s is there and was not given: %s", field, plain.body)
			}
		}
	}},
	{"PATCH replaces each field that it names and leaves the others; null takes one away", func(p *probe) {
		s := p.create("[" + p.target() + "]")
		patch := func(body string) SecretBody {
			return p.secret(p.want(p.call(http.MethodPatch, "/secrets/"+s.Name, body), 200))
		}
		made := patch(`{"labels":{"team":"a","tier":"db"},"suspend":true}`)
		if made.Labels["team"] != "a" || made.Suspend == nil || !*made.Suspend || len(made.Sync) != 1 {
			p.bad("%+v", made)
		}
		changed := patch(`{"labels":{"team":"b"}}`)
		if len(changed.Labels) != 1 || changed.Labels["team"] != "b" || changed.Suspend == nil || changed.ResourceVersion == made.ResourceVersion {
			p.bad("%+v", changed)
		}
		if same := patch(`{"labels":{"team":"b"},"suspend":true}`); same.ResourceVersion != changed.ResourceVersion {
			p.bad("what changes nothing made commit %s", same.ResourceVersion)
		}
		if plain := patch(`{"labels":null,"suspend":null}`); plain.Labels != nil || plain.Suspend != nil || len(plain.Sync) != 1 {
			p.bad("%+v", plain)
		}
	}},
}
