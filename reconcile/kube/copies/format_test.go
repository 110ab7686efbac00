package copies

import "testing"

func TestWhichFormatsAreNewer(t *testing.T) {
	for name, c := range map[string]struct {
		annotations map[string]string
		format      Format
		newer       bool
	}{
		"no annotations at all":   {nil, 1, false},
		"none that says":          {map[string]string{AnnotationHash: "…"}, 1, false},
		"the first":               {map[string]string{AnnotationFormat: "1"}, 1, false},
		"the next":                {map[string]string{AnnotationFormat: "2"}, 2, true},
		"one of long after us":    {map[string]string{AnnotationFormat: "70000"}, unreadable, true},
		"no number":               {map[string]string{AnnotationFormat: "2.1"}, unreadable, true},
		"nothing written down":    {map[string]string{AnnotationFormat: ""}, unreadable, true},
		"a number that is no one": {map[string]string{AnnotationFormat: "0"}, unreadable, true},
	} {
		t.Run(name, func(t *testing.T) {
			if f := ParseFormat(c.annotations); f != c.format || f.Newer() != c.newer {
				t.Errorf("%s, newer %v", f, f.Newer())
			}
		})
	}
}
