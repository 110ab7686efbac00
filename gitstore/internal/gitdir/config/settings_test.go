package config

import "testing"

// Whatever stands in a repository's configuration, it is read or refused.
func FuzzConfiguration(f *testing.F) {
	for _, seed := range []string{
		"[core]\n\tbare = true\n", forcePushRefused, "[core] repositoryFormatVersion = 1 ; x\n[extensions \"a\"] b\n",
		"[core]\n\tsharedRepository = 0660\n\tlogAllRefUpdates = always\n", "\ufeff[a \"]\\\"\"] b = \"c\\\n[d]\n", "[[", "[core]\\\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s := &Settings{}
		if err := s.parse(content, true); err != nil {
			return
		}
		again := &Settings{}
		if err := again.parse(splitHeaders(content), true); err != nil || *again != *s {
			t.Errorf("another time: %v, %+v, not %+v", err, again, s)
		}
		if mode := s.sharing.of(0o644); mode&0o600 != 0o600 {
			t.Errorf("the owner is kept out: %v", mode)
		}
	})
}
