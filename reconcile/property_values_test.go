package reconcile

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// anyValue makes a value, with what definitions ask for more often than not.
func (p *property) anyValue() map[string]any {
	text := func() string {
		return fmt.Sprintf("%s-%d%s", canary, p.rand.Uint32(), p.some("", "@x/y z&", "\"'", "ü", "\nline"))
	}
	json1 := map[string]any{
		"s": canary + "s", "n": json.Number("12345678901234567890"), "l": []any{canary, json.Number("1.50")}, "o": map[string]any{"x": canary + "x"}, "z": nil, "b": true,
	}
	raw := make([]byte, 1+p.rand.IntN(40))
	for i := range raw {
		raw[i] = byte(p.rand.Uint32())
	}
	encoded := base64.StdEncoding.EncodeToString(raw)
	pair := p.should.pairs[p.rand.IntN(2)]
	v := map[string]any{
		"username": text(), "password": text(), "number": json.Number("1000000000000000000001"), "json": json1, "text": textOf(json1), "empty": nil,
		"base64":      p.some(encoded, strings.TrimRight(encoded, "="), encoded[:2]+"\n"+encoded[2:]+"\n"),
		"hex":         hex.EncodeToString(raw),
		"certificate": pair[0], "private_key": pair[1], "server": "registry.example.com",
	}
	if p.oneIn(2) {
		v["maybe"] = p.some(text(), "")
	}
	if p.oneIn(2) {
		v["email"] = canary + "@example.com"
	}
	switch p.rand.IntN(16) { // something is wrong with it
	case 0:
		v["private_key"] = p.should.pairs[p.rand.IntN(2)][1]
	case 1:
		v["base64"], v["hex"] = canary+"!!", canary
	case 2:
		delete(v, p.some("username", "password", "json", "server"))
	case 3:
		v["text"] = canary + " is no JSON"
	case 4:
		v["odd key!"] = canary
	}
	return v
}
