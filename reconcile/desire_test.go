package reconcile

import "testing"

func TestNamespacesOfTheSystemAreGrantedOnlyByName(t *testing.T) {
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
		{nil, "payments", false},
	} {
		if got := allows(test.patterns, test.namespace); got != test.want {
			t.Errorf("%v, %s: %v", test.patterns, test.namespace, got)
		}
	}
}
