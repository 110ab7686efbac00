package gitstore

import (
	"strings"

	"secretsync/gitstore/definition"
)

func mustParse[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func name(s string) definition.Name { return mustParse(definition.ParseName(s)) }

func targets(places ...string) []definition.Target {
	var list []definition.Target
	for _, p := range places {
		parts := strings.Split(p, "/")
		t := definition.Target{Cluster: mustParse(definition.ParseClusterName(parts[0])), Namespace: mustParse(definition.ParseNamespace(parts[1]))}
		if len(parts) > 2 {
			t.SecretName = mustParse(definition.ParseSecretName(parts[2]))
		}
		list = append(list, t)
	}
	return list
}

func defined(s string, places ...string) definition.Definition {
	return mustParse(definition.New(name(s), mustParse(definition.ParseSecretPath("path/"+s)), targets(places...)))
}
