package header

import "testing"

func TestPreference(t *testing.T) {
	for name, c := range map[string]struct {
		fields []string
		want   string
	}{
		"none":                               {nil, ""},
		"the one":                            {[]string{"handling=strict"}, "strict"},
		"in another case":                    {[]string{"Handling=STRICT"}, "strict"},
		"quoted":                             {[]string{`handling="strict"`}, "strict"},
		"with spaces":                        {[]string{" handling = strict "}, "strict"},
		"with a parameter":                   {[]string{"handling=strict; foo=bar"}, "strict"},
		"among others":                       {[]string{"respond-async, wait=10, handling=lenient"}, "lenient"},
		"in a second field":                  {[]string{"respond-async", "handling=strict"}, "strict"},
		"twice: the first counts":            {[]string{"handling=lenient, handling=strict"}, "lenient"},
		"inside of another's quoted value":   {[]string{`foo="a, handling=strict"`}, ""},
		"behind an escaped quote":            {[]string{`foo="a\", handling=strict"`}, ""},
		"without a value":                    {[]string{"handling"}, ""},
		"a longer name":                      {[]string{"mishandling=strict"}, ""},
		"an unknown value is told as it is":  {[]string{"handling=gentle"}, "gentle"},
		"a quote that does not end":          {[]string{`foo="x, handling=strict`}, ""},
		"nothing but separators":             {[]string{",,;,"}, ""},
		"behind empty elements of the list":  {[]string{",, handling=strict"}, "strict"},
		"a backslash at the end of a string": {[]string{`foo="\`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Preference(c.fields, "handling"); got != c.want {
				t.Errorf("%q; want %q", got, c.want)
			}
		})
	}
}
