package condition

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/telemetry"
)

func newCondition(t *testing.T, notOpen error) (c *Condition, said func() []string) {
	t.Helper()
	metrics, err := telemetry.NewMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	log := new(bytes.Buffer)
	c = New(slog.New(slog.NewTextHandler(log, nil)), "acme", notOpen)
	c.Measure(metrics.Of("acme"))
	return c, func() []string {
		defer log.Reset()
		return slices.Collect(strings.Lines(log.String()))
	}
}

func TestAFaultIsToldOnceAndSoIsItsEnd(t *testing.T) {
	c, said := newCondition(t, nil)
	changed, err := c.Fault()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.SetFault(WriteFault, errors.New("no space"))
	}
	select {
	case <-changed:
	default:
		t.Error("who waits for a change is not told")
	}
	if _, err := c.Fault(); !errors.Is(err, failure.ErrUnavailable) || !c.Has(WriteFault) || c.Has(FollowFault) {
		t.Errorf("it is %v", err)
	}
	if lines := said(); len(lines) != 1 || !strings.Contains(lines[0], "no space") {
		t.Errorf("%q", lines)
	}
	c.SetFault(FollowFault, errors.New("damaged"))
	c.SetFault(WriteFault, nil)
	if _, err := c.Fault(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("with one fault left it is %v", err)
	}
	if lines := said(); len(lines) != 1 {
		t.Errorf("%q", lines)
	}
	for range 2 {
		c.SetFault(FollowFault, nil)
	}
	if lines := said(); len(lines) != 1 || !strings.Contains(lines[0], "recovered") {
		t.Errorf("%q", lines)
	}
}

func TestARepositoryThatOpensDidNotRecover(t *testing.T) {
	c, said := newCondition(t, failure.ErrOpening)
	c.SetFault(OpenFault, fmt.Errorf("%w: its remote is being asked", failure.ErrOpening))
	c.SetFault(OpenFault, nil)
	if lines := said(); len(lines) != 0 {
		t.Errorf("%q", lines)
	}
	c.SetFault(OpenFault, errors.New("its remote is gone"))
	c.SetFault(OpenFault, failure.ErrOpening) // it has another one now
	c.SetFault(OpenFault, nil)
	if lines := said(); len(lines) != 2 || !strings.Contains(lines[1], "recovered") {
		t.Errorf("%q", lines)
	}
}

func TestAProblemIsToldOnceAndSoIsItsEnd(t *testing.T) {
	c, said := newCondition(t, nil)
	for range 2 {
		c.SetProblems(RemoteProblem, "the remote is gone")
	}
	c.SetProblems(BranchProblem, "HEAD is elsewhere")
	if lines := said(); len(lines) != 2 {
		t.Errorf("%q", lines)
	}
	if got := c.Problems(); !slices.Equal(got, []string{"HEAD is elsewhere", "the remote is gone"}) {
		t.Errorf("told are %q", got)
	}
	c.SetProblems(RemoteProblem, "the remote is gone", "and slow")
	c.SetProblems(RemoteProblem)
	if lines := said(); len(lines) != 2 || !strings.Contains(lines[0], "and slow") || !strings.Contains(lines[1], "is over") {
		t.Errorf("%q", lines)
	}
}

// Whoever reads of a problem in the log finds it counted.
func TestAProblemIsCountedBeforeItIsTold(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics, err := telemetry.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	var counted []float64 // when a line is written
	c := New(slog.New(slog.NewTextHandler(writerFunc(func() {
		families, err := registry.Gather()
		if err != nil {
			t.Error(err)
		}
		for _, f := range families {
			if f.GetName() == "secretsync_gitstore_problems" {
				counted = append(counted, f.GetMetric()[0].GetGauge().GetValue())
			}
		}
	}), nil)), "acme", nil)
	c.Measure(metrics.Of("acme"))
	c.SetProblems(RemoteProblem, "the remote is gone")
	c.SetProblems(BranchProblem, "HEAD is elsewhere", "the branch is not there")
	c.SetProblems(BranchProblem)
	if want := []float64{1, 3, 3, 1}; !slices.Equal(counted, want) {
		t.Errorf("counted are %v, want %v", counted, want)
	}
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

func TestAComplaintIsMadeOncePerCause(t *testing.T) {
	c, said := newCondition(t, nil)
	for _, err := range []error{errors.New("a"), errors.New("a"), errors.New("b"), nil, errors.New("b")} {
		c.Complain("it could not be written", err)
	}
	if lines := said(); len(lines) != 3 {
		t.Errorf("%q", lines)
	}
}
