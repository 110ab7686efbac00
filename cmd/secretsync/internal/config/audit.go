package config

type auditFile struct {
	File   string `yaml:"file"`
	Stdout bool   `yaml:"stdout"`
	Reads  *bool  `yaml:"reads"`
}

// Audit says where the audit stream goes; its zero value: nowhere.
type Audit struct {
	File    string
	Stdout  bool
	NoReads bool // requests that only read are left out
}

// IsZero reports whether there is none.
func (a Audit) IsZero() bool { return a == Audit{} }

func (d *document) parseAudit() Audit {
	if _, given := d.lines["audit"]; !given {
		return Audit{}
	}
	a := Audit{File: d.file(d.Audit.File), Stdout: d.Audit.Stdout, NoReads: d.Audit.Reads != nil && !*d.Audit.Reads}
	if (a.File == "") == !a.Stdout {
		d.wrong("audit", "give either file or stdout: true")
	}
	return a
}

// parseProfiles reports whether /debug/pprof/ is served. It tells what the process does
// to whoever asks, so it is never served where the API is.
func (d *document) parseProfiles(c *Config) bool {
	if d.Pprof && (c.MetricsListen == "" || c.MetricsListen == c.Listen) {
		d.wrong("pprof", "is served on an address of its own alone; give metricsListen one that is not the API's")
	}
	return d.Pprof
}
