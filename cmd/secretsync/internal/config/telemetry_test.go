package config

import (
	"strings"
	"testing"
)

func TestWhereTracesGo(t *testing.T) {
	for name, c := range map[string]struct {
		telemetry string
		want      Telemetry
		wrong     string
	}{
		"nowhere":                {"", Telemetry{}, ""},
		"a collector":            {"{endpoint: http://collector:4318}", Telemetry{Endpoint: "http://collector:4318/v1/traces", Sample: 0.1}, ""},
		"at a path of its own":   {"{endpoint: https://collector/otlp/traces, sample: 1}", Telemetry{Endpoint: "https://collector/otlp/traces", Sample: 1}, ""},
		"no address":             {"{sample: 1}", Telemetry{}, "telemetry.endpoint"},
		"a token in the address": {"{endpoint: 'https://user:token@collector'}", Telemetry{}, "headersFile"},
		"another protocol":       {"{endpoint: 'grpc://collector:4317'}", Telemetry{}, "http://host:4318"},
		"more than everything":   {"{endpoint: http://collector:4318, sample: 2}", Telemetry{}, "telemetry.sample: is 2"},
		"a file that is missing": {"{endpoint: http://collector:4318, headersFile: none}", Telemetry{}, "telemetry.headersFile"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := rightConfig
			if c.telemetry != "" {
				settings += "telemetry: " + c.telemetry + "\n"
			}
			cfg, err := Load(writeConfig(t, settings))
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "token@") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || cfg.Telemetry != c.want {
				t.Errorf("%+v, %v", cfg.Telemetry, err)
			}
		})
	}
}
