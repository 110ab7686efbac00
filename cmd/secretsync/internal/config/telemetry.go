package config

import (
	"net/url"
	"strings"
)

type telemetryFile struct {
	Endpoint    string   `yaml:"endpoint"`
	HeadersFile string   `yaml:"headersFile"`
	CAFile      string   `yaml:"caFile"`
	Sample      *float64 `yaml:"sample"`
}

// Telemetry says where traces go; its zero value: nowhere.
type Telemetry struct {
	Endpoint            string // with its path
	HeadersFile, CAFile string
	Sample              float64 // from 0 to 1
}

const (
	defaultSample = 0.1
	tracesPath    = "/v1/traces" // where collectors take them unless told otherwise
)

func (d *document) parseTelemetry() Telemetry {
	if _, given := d.lines["telemetry"]; !given {
		return Telemetry{}
	}
	in := d.Telemetry
	t := Telemetry{HeadersFile: d.file(in.HeadersFile), CAFile: d.file(in.CAFile), Sample: defaultSample}
	endpoint, err := url.Parse(in.Endpoint)
	switch {
	case err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.User != nil || endpoint.RawQuery != "" || endpoint.Fragment != "":
		d.wrong("telemetry.endpoint", "is no address of a collector; write it as http://host:4318, and what it must not show in headersFile")
	case strings.Trim(endpoint.Path, "/") == "":
		t.Endpoint = endpoint.JoinPath(tracesPath).String()
	default:
		t.Endpoint = endpoint.String()
	}
	if in.Sample != nil {
		if t.Sample = *in.Sample; !(t.Sample >= 0 && t.Sample <= 1) { // so that NaN is none
			d.wrong("telemetry.sample", "is %v; it is a share, from 0 to 1", t.Sample)
		}
	}
	d.checkFile("telemetry.headersFile", t.HeadersFile)
	d.checkFile("telemetry.caFile", t.CAFile)
	return t
}
