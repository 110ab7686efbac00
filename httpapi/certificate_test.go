package httpapi

import (
	"crypto/tls"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ends returns when a certificate ends, as the metrics have it.
func ends(t *testing.T, metrics prometheus.Gatherer, certificate string) time.Time {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "secretsync_certificate_expiration_timestamp_seconds" && m.GetLabel()[0].GetValue() == certificate {
				return time.Unix(int64(m.GetGauge().GetValue()), 0)
			}
		}
	}
	t.Fatalf("no metric tells when the certificate of %s ends", certificate)
	return time.Time{}
}

// Nobody has to come for a renewal to be seen: it is looked for as the metrics are asked.
func TestTheMetricsTellWhenTheCertificateOfTheAPIEnds(t *testing.T) {
	clock := newHand()
	cert, key := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	writeCertificate(t, cert, key, 1)
	metrics := prometheus.NewRegistry()
	w := newWorld(t, func(c *Config) { c.CertFile, c.KeyFile, c.Clock, c.Metrics = cert, key, clock, metrics })
	c, err := tls.Dial("tcp", w.running(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if left := time.Until(ends(t, metrics, "api")); left < 50*time.Minute || left > time.Hour {
		t.Errorf("it has %v left, want an hour", left)
	}
	writeCertificateUntil(t, cert, key, 2, time.Now().Add(48*time.Hour))
	touch(t, cert, time.Minute)
	clock.advance(5 * time.Second)
	if left := time.Until(ends(t, metrics, "api")); left < 47*time.Hour {
		t.Errorf("after a renewal it has %v left, want two days", left)
	}
}

func TestTheMetricsTellWhenTheCertificateOfAReplicaEnds(t *testing.T) {
	rs := newReplicas(t)
	at, err := strconv.ParseFloat(rs.c.counted(t, `secretsync_certificate_expiration_timestamp_seconds{certificate="replicas"}`), 64)
	if left := time.Until(time.Unix(int64(at), 0)); err != nil || left < 19*365*24*time.Hour {
		t.Errorf("it has %v left, want twenty years (%v)", left, err)
	}
}
