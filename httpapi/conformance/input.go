package conformance

import (
	"fmt"
	"net/http"
	"strings"
)

// BadBody is a request body that must be refused with 400.
type BadBody struct {
	Why  string // in words
	Body string // NAME stands for a name that is free, or the definition's
	Says string // must stand in the answer
}

// BadBodies are refused by POST …/secrets.
var BadBodies = []BadBody{
	{"no body", " ", "body"},
	{"no JSON", `name=NAME`, "body"},
	{"JSON cut short", `{"name":"NAME","secretPath":"a"`, "body"},
	{"JSON with a comma too many", `{"name":"NAME","secretPath":"a",}`, "body"},
	{"JSON with a comment", `{"name":"NAME","secretPath":"a"} // mine`, "body"},
	{"single quotes", `{'name':'NAME','secretPath':'a'}`, "body"},
	{"a byte order mark", "\ufeff" + `{"name":"NAME","secretPath":"a"}`, "body"},
	{"something after the object", `{"name":"NAME","secretPath":"a"} {}`, "body"},
	{"a brace after the object", `{"name":"NAME","secretPath":"a"}}`, "body"},
	{"a list", `[{"name":"NAME","secretPath":"a"}]`, "a list"},
	{"a string", `"NAME"`, "a string"},
	{"null", `null`, "null"},
	{"a number", `42`, "a number"},
	{"NaN", `{"name":NaN,"secretPath":"a"}`, "body"},
	{"invalid UTF-8", "{\"name\":\"NAME\",\"secretPath\":\"a\xff\"}", "UTF-8"},
	{"nesting without end", strings.Repeat(`{"sync":[`, 5000), "body"},
	{"deep nesting", `{"name":"NAME","secretPath":"a","sync":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "levels"},
	{"an unknown field", `{"name":"NAME","secretPath":"a","owner":"me"}`, "owner"},
	{"status, which is not the client's", `{"name":"NAME","secretPath":"a","status":{}}`, "status"},
	{"resourceVersion, which is not the client's", `{"name":"NAME","secretPath":"a","resourceVersion":"x"}`, "resourceVersion"},
	{"a value", `{"name":"NAME","secretPath":"a","value":"hunter2"}`, "value"},
	{"a field in another case", `{"Name":"NAME","secretPath":"a"}`, "Name"},
	{"a field twice", `{"name":"NAME","secretPath":"a","secretPath":"b"}`, "secretPath"},
	{"a field twice, once in another case", `{"name":"NAME","secretPath":"a","SecretPath":"b"}`, "SecretPath"},
	{"a field twice, once escaped", `{"name":"NAME","secretPath":"a","secret\u0050ath":"b"}`, "secretPath"},
	{"a look-alike field", `{"name":"NAME","secretPath":"a","ѕync":[]}`, "unknown"},
	{"no name", `{"secretPath":"a"}`, "name"},
	{"no secretPath", `{"name":"NAME"}`, "secretPath"},
	{"name null", `{"name":null,"secretPath":"a"}`, "name"},
	{"name a number", `{"name":42,"secretPath":"a"}`, "name"},
	{"name a list", `{"name":["NAME"],"secretPath":"a"}`, "name"},
	{"name empty", `{"name":"","secretPath":"a"}`, "name"},
	{"name of one character", `{"name":"a","secretPath":"a"}`, "name"},
	{"name of 64 characters", `{"name":"` + strings.Repeat("a", 64) + `","secretPath":"a"}`, "name"},
	{"name with capitals", `{"name":"DbPassword","secretPath":"a"}`, "name"},
	{"name with a dot", `{"name":"db.password","secretPath":"a"}`, "name"},
	{"name with an underscore", `{"name":"db_password","secretPath":"a"}`, "name"},
	{"name beginning with a dash", `{"name":"-db","secretPath":"a"}`, "name"},
	{"name ending with a dash", `{"name":"db-","secretPath":"a"}`, "name"},
	{"name with a slash", `{"name":"../db","secretPath":"a"}`, "name"},
	{"name with a line break", `{"name":"db\nx","secretPath":"a"}`, "name"},
	{"name with a null byte", `{"name":"db\u0000","secretPath":"a"}`, "name"},
	{"name with a Cyrillic letter", `{"name":"dbраss","secretPath":"a"}`, "name"},
	{"secretPath empty", `{"name":"NAME","secretPath":""}`, "secretPath"},
	{"secretPath beginning with a slash", `{"name":"NAME","secretPath":"/a"}`, "secretPath"},
	{"secretPath ending with a slash", `{"name":"NAME","secretPath":"a/"}`, "secretPath"},
	{"secretPath with an empty segment", `{"name":"NAME","secretPath":"a//b"}`, "secretPath"},
	{"secretPath with a dot segment", `{"name":"NAME","secretPath":"a/./b"}`, "secretPath"},
	{"secretPath that climbs", `{"name":"NAME","secretPath":"a/../../other"}`, "secretPath"},
	{"secretPath with a percent sign", `{"name":"NAME","secretPath":"a/%2e%2e/b"}`, "secretPath"},
	{"secretPath with a backslash", `{"name":"NAME","secretPath":"a\\b"}`, "secretPath"},
	{"secretPath with a question mark", `{"name":"NAME","secretPath":"a?version=1"}`, "secretPath"},
	{"secretPath with a space", `{"name":"NAME","secretPath":"a b"}`, "secretPath"},
	{"secretPath over 512 bytes", `{"name":"NAME","secretPath":"` + strings.Repeat("a", 513) + `"}`, "secretPath"},
	{"sync an object", `{"name":"NAME","secretPath":"a","sync":{}}`, "sync"},
	{"sync a string", `{"name":"NAME","secretPath":"a","sync":"production"}`, "sync"},
	{"sync false", `{"name":"NAME","secretPath":"a","sync":false}`, "sync"},
	{"a target that is a string", `{"name":"NAME","secretPath":"a","sync":["production"]}`, "sync[0]"},
	{"a target that is null", `{"name":"NAME","secretPath":"a","sync":[null]}`, "sync[0]"},
	{"a target without a cluster", `{"name":"NAME","secretPath":"a","sync":[{"namespace":"x"}]}`, "sync[0].cluster"},
	{"a target without a namespace", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x"}]}`, "sync[0].namespace"},
	{"the second target's namespace of the wrong type", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"y"},{"cluster":"x","namespace":7}]}`, "sync[1].namespace"},
	{"a target with an unknown field", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"y","type":"Opaque"}]}`, "sync[0].type"},
	{"a target with a field twice", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"y","namespace":"z"}]}`, "sync[0].namespace"},
	{"a target with a field in another case", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","nameSpace":"y"}]}`, "sync[0].nameSpace"},
	{"a namespace that is no label", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"a/b"}]}`, "sync[0].namespace"},
	{"a cluster that is no label", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"https://x","namespace":"y"}]}`, "sync[0].cluster"},
	{"an empty secretName", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"y","secretName":""}]}`, "sync[0].secretName"},
	{"a secretName that is no subdomain", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"y","secretName":"a..b"}]}`, "sync[0].secretName"},
	{"a target listed twice", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"y"},{"cluster":"x","namespace":"y"}]}`, "sync[1]"},
	{"a target listed twice, once by the default name", `{"name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"y"},{"cluster":"x","namespace":"y","secretName":"NAME"}]}`, "sync[1]"},
	{"101 targets", `{"name":"NAME","secretPath":"a","sync":[` + manyTargets(maxTargets+1) + `]}`, "100"},
}

func manyTargets(n int) string {
	targets := make([]string, n)
	for i := range targets {
		targets[i] = fmt.Sprintf(`{"cluster":"conformance-many","namespace":"n%d"}`, i)
	}
	return strings.Join(targets, ",")
}

// BadPatches are refused by PATCH …/secrets/{name}.
var BadPatches = []BadBody{
	{"sync absent", `{}`, "sync"},
	{"name", `{"name":"other","sync":[]}`, "name"},
	{"the same name", `{"name":"NAME","sync":[]}`, "name"},
	{"secretPath", `{"secretPath":"b","sync":[]}`, "secretPath"},
	{"an unknown field", `{"sync":[],"owner":{}}`, "owner"},
	{"a label that is a number", `{"labels":{"team":1}}`, "labels.team"},
	{"a label that is reserved", `{"labels":{"secretsync.dev/tenant":"x"}}`, "labels"},
	{"data without where it comes from", `{"data":{"a":{}}}`, "data.a.key"},
	{"data in two ways", `{"data":{"a":{"key":"a","template":"b"}}}`, "data.a"},
	{"a template that is not well-formed", `{"data":{"a":{"template":"{{"}}}`, "data.a.template"},
	{"a mode that is none", `{"mode":"merge"}`, "mode"},
	{"sharing without saying what", `{"mode":"Merge"}`, "mode"},
	{"a policy that is none", `{"deletionPolicy":"Keep"}`, "deletionPolicy"},
	{"a text for a truth", `{"suspend":"true"}`, "suspend"},
	{"an interval that is none", `{"refreshInterval":"soon"}`, "refreshInterval"},
	{"a selector of everything", `{"sync":[{"cluster":"c","namespaceSelector":{}}]}`, "sync[0].namespaceSelector"},
	{"a namespace and a selector", `{"sync":[{"cluster":"c","namespace":"n","namespaceSelector":{"matchLabels":{"a":"b"}}}]}`, "sync[0]"},
	{"a workload of an unknown kind", `{"sync":[{"cluster":"c","namespace":"n","restart":["job/x"]}]}`, "sync[0].restart"},
	{"sync twice", `{"sync":[],"sync":[]}`, "sync"},
	{"Sync", `{"Sync":[]}`, "Sync"},
	{"sync a string", `{"sync":"[]"}`, "sync"},
	{"a JSON patch", `[{"op":"replace","path":"/sync","value":[]}]`, "a list"},
	{"something after the object", `{"sync":[]} x`, "body"},
	{"a target listed twice", `{"sync":[{"cluster":"x","namespace":"y"},{"cluster":"x","namespace":"y","secretName":"NAME"}]}`, "sync[1]"},
}

// BadBatches are refused by POST …/secrets:batch.
var BadBatches = []BadBody{
	{"no operations", `{}`, "operations"},
	{"a list in place of the object", `[{"op":"delete","name":"NAME"}]`, "a list"},
	{"no operation in the list", `{"operations":[]}`, "operations"},
	{"101 operations", `{"operations":[` + strings.Repeat(`{"op":"delete","name":"NAME"},`, 100) + `{"op":"delete","name":"NAME"}]}`, "100"},
	{"an unknown field", `{"operations":[],"dryRun":true}`, "dryRun"},
	{"an operation that is a string", `{"operations":["delete"]}`, "operations[0]"},
	{"an unknown operation", `{"operations":[{"op":"replace","name":"NAME"}]}`, "operations[0].op"},
	{"no op", `{"operations":[{"name":"NAME"}]}`, "operations[0].op"},
	{"no name", `{"operations":[{"op":"delete"}]}`, "operations[0].name"},
	{"a malformed ifMatch", `{"operations":[{"op":"delete","name":"NAME","ifMatch":"abc"}]}`, "operations[0].ifMatch"},
	{"ifMatch of the wrong type", `{"operations":[{"op":"delete","name":"NAME","ifMatch":["*"]}]}`, "operations[0].ifMatch"},
	{"ifMatch for a create", `{"operations":[{"op":"create","name":"NAME","secretPath":"a","ifMatch":"*"}]}`, "operations[0].ifMatch"},
	{"sync for a delete", `{"operations":[{"op":"delete","name":"NAME","sync":[]}]}`, "operations[0].sync"},
	{"secretPath for a patch", `{"operations":[{"op":"patch","name":"NAME","secretPath":"a","sync":[]}]}`, "operations[0].secretPath"},
	{"a patch without sync", `{"operations":[{"op":"patch","name":"NAME"}]}`, "operations[0].sync"},
	{"a create without secretPath", `{"operations":[{"op":"create","name":"NAME"}]}`, "operations[0].secretPath"},
	{"a wrong namespace in the second operation", `{"operations":[{"op":"create","name":"NAME","secretPath":"a"},{"op":"create","name":"NAME-2","secretPath":"a","sync":[{"cluster":"c","namespace":7}]}]}`, "operations[1].sync[0].namespace"},
	{"a target listed twice", `{"operations":[{"op":"create","name":"NAME","secretPath":"a","sync":[{"cluster":"x","namespace":"y"},{"cluster":"x","namespace":"y"}]}]}`, "operations[0].sync[1]"},
	{"a definition twice", `{"operations":[{"op":"delete","name":"NAME"},{"op":"create","name":"NAME","secretPath":"a"}]}`, "operations[1].name"},
}

var inputChecks = []sentence{
	{"each malformed POST is 400 and says which field and why", func(p *probe) {
		for _, b := range BadBodies {
			name := p.name()
			r := p.call(http.MethodPost, "/secrets", strings.ReplaceAll(b.Body, "NAME", name))
			if r.status == http.StatusCreated {
				p.created = append(p.created, name)
			}
			p.within(b.Why, func() { p.refused(r, 400, b.Says) })
		}
	}},
	{"each malformed PATCH is 400, says which field and why, and writes nothing", func(p *probe) {
		made := p.create("[" + p.target() + "]")
		for _, b := range BadPatches {
			r := p.call(http.MethodPatch, "/secrets/"+made.Name, strings.ReplaceAll(b.Body, "NAME", made.Name))
			p.within(b.Why, func() { p.refused(r, 400, b.Says) })
		}
		if s := p.read(made.Name); s.ResourceVersion != made.ResourceVersion {
			p.bad("resourceVersion went from %s to %s", made.ResourceVersion, s.ResourceVersion)
		}
	}},
	{"each malformed batch is 400, says which operation and field, and writes nothing", func(p *probe) {
		for _, b := range BadBatches {
			name := p.name()
			p.created = append(p.created, name)
			r := p.call(http.MethodPost, "/secrets:batch", strings.ReplaceAll(b.Body, "NAME", name))
			p.within(b.Why, func() { p.refused(r, 400, b.Says) })
			p.refused(p.get("/secrets/"+name), 404)
		}
	}},
	{"100 targets are accepted", func(p *probe) {
		if s := p.create("[" + manyTargets(maxTargets) + "]"); len(s.Sync) != maxTargets {
			p.bad("%d targets came back", len(s.Sync))
		}
	}},
	{"what the format allows is accepted: all characters of a path, the longest names", func(p *probe) {
		name := p.name()
		name += strings.Repeat("x", 63-len(name))
		p.created = append(p.created, name)
		path := "A-Z/a.z_0~9@:=+/" + strings.Repeat("p", 496)
		s := p.secret(p.want(p.call(http.MethodPost, "/secrets", fmt.Sprintf(
			`{"name":%q,"secretPath":%q,"sync":[{"cluster":"c","namespace":%q,"secretName":%q}]}`,
			name, path, name, strings.Repeat("a", 63)+"."+strings.Repeat("b", 63))), 201))
		if s.SecretPath != path {
			p.bad("secretPath came back as %s", s.SecretPath)
		}
		if s := p.read(name); s.SecretPath != path || s.Sync[0].Namespace != name {
			p.bad("read back: %+v", s)
		}
	}},
	{"a body over 1 MiB is 413, one just below is not", func(p *probe) {
		p.refused(p.call(http.MethodPost, "/secrets", `{"name":"`+strings.Repeat("a", maxBody)+`"}`), 413)
		name := p.name()
		p.created = append(p.created, name)
		body := fmt.Sprintf(`{"name":%q,"secretPath":"a"}`, name)
		p.want(p.call(http.MethodPost, "/secrets", body+strings.Repeat(" ", maxBody-len(body))), 201)
	}},
	{"a body that is not JSON is 415, whatever else is wrong with it", func(p *probe) {
		for _, contentType := range []string{
			"application/x-www-form-urlencoded", "text/plain", "text/json", "application/yaml", "multipart/form-data; boundary=x",
			"application/json; charset=utf-16", "json", "application/json, application/json",
		} {
			p.within(contentType, func() {
				p.refused(p.call(http.MethodPost, "/secrets", `{}`, "Content-Type: "+contentType), 415)
			})
		}
		p.refused(p.call(http.MethodPost, "/secrets", `{}`, "Content-Encoding: gzip"), 415)
		for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"} {
			name := p.name()
			p.created = append(p.created, name)
			p.want(p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"a"}`, name), "Content-Type: "+contentType), 201)
		}
	}},
}

// within prefixes what is found by run.
func (p *probe) within(what string, run func()) {
	before := len(p.found)
	run()
	for i := before; i < len(p.found); i++ {
		p.found[i] = fmt.Errorf("%s: %w", what, p.found[i])
	}
}
