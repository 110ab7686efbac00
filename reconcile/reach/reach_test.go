package reach

import (
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
	"secretsync/reconcile/fault"
)

func TestNamespacesOfTheSystemAndOfTheServerAreGrantedOnlyByName(t *testing.T) {
	for _, test := range []struct {
		patterns  []string
		namespace string
		want      bool
	}{
		{[]string{"*"}, "payments", true},
		{[]string{"*"}, "kube-system", false},
		{[]string{"kube-*"}, "kube-public", false},
		{[]string{"kube-*"}, "kube-mine", true},
		{[]string{"*", "kube-system"}, "kube-system", true},
		{[]string{"team-?"}, "team-a", true},
		{[]string{"team-?"}, "team-ab", false},
		{[]string{"*"}, "home", false},
		{[]string{"h?me", "home-2"}, "home", false},
		{[]string{"h?me", "home"}, "home", true},
		{[]string{"home*"}, "home-2", true},
		{nil, "payments", false},
	} {
		if got := (Grant{Namespaces: test.patterns, ByName: []string{"home"}}).Allows(test.namespace); got != test.want {
			t.Errorf("%v, %s: %v", test.patterns, test.namespace, got)
		}
	}
}

func TestWhyATargetIsForbidden(t *testing.T) {
	tenant, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	eu, err := definition.ParseClusterName("eu")
	if err != nil {
		t.Fatal(err)
	}
	r := Reach{Tenant: tenant, Grants: map[definition.ClusterName]Grant{eu: {Cluster: "eu-1", Namespaces: []string{"team-*"}}}}
	for name, test := range map[string]struct {
		target string
		want   fault.Reason // empty: it is not
	}{
		"a namespace that is granted is not":                {"{cluster: eu, namespace: team-a}", ""},
		"a namespace that is not granted is":                {"{cluster: eu, namespace: other}", fault.ReasonNamespaceNotAllowed},
		"a cluster that is not registered is":               {"{cluster: us, namespace: team-a}", fault.ReasonClusterNotFound},
		"a selector stands for namespaces that are":         {"{cluster: eu, namespaceSelector: {matchLabels: {a: b}}}", ""},
		"a selector of a cluster that is not registered is": {"{cluster: us, namespaceSelector: {matchLabels: {a: b}}}", fault.ReasonClusterNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := parse.File("secrets/db.yaml", []byte("name: db\nsecretPath: db\nsync:\n- "+test.target+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			var got fault.Reason
			if f := r.Admit(d.Sync[0]); f != nil {
				got = f.Reason
			}
			if got != test.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestAPatternThatIsNoneIsFound(t *testing.T) {
	if err := (Grant{Namespaces: []string{"team-*", "[a"}}).Check(); err == nil {
		t.Error("it is taken")
	}
	if err := (Grant{Namespaces: []string{"team-[ab]"}}).Check(); err != nil {
		t.Error(err)
	}
}
