package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASelectionIsRunAndWrittenWithRatios(t *testing.T) {
	register("two", func(_ context.Context, env *Env) ([]Result, error) {
		if _, err := os.Stat(env.Dir); err != nil {
			t.Errorf("no folder for the benchmark: %v", err)
		}
		return []Result{{Name: "two", Value: 3, Floor: 2, Unit: "s", Note: "three against two"}}, nil
	})
	defer delete(benchmarks, "two")
	output := filepath.Join(t.TempDir(), "bench.json")
	if err := run(t.Context(), "two", output); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	var results []Result
	if err := json.Unmarshal(content, &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || results[0].Ratio != 1.5 {
		t.Errorf("%s; want one result with ratio 1.5", content)
	}
}

func TestAnUnknownBenchmarkIsRefusedWithTheKnownOnes(t *testing.T) {
	err := run(t.Context(), "cold-sync-1k,nonsense", filepath.Join(t.TempDir(), "bench.json"))
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "cold-sync-1k") {
		t.Errorf("%v; want the unknown name and the known ones", err)
	}
}

func TestFloorAndOursAreMeasuredInTurn(t *testing.T) {
	order := ""
	floors, ours := []float64{1, 9, 2}, []float64{30, 10, 20}
	take := func(name string, values *[]float64) func(context.Context) (float64, error) {
		return func(context.Context) (float64, error) {
			order += name
			first := (*values)[0]
			*values = (*values)[1:]
			return first, nil
		}
	}
	floor, our, err := alternate(t.Context(), 3, take("f", &floors), take("o", &ours))
	if err != nil || floor != 2 || our != 20 || order != "fofofo" {
		t.Errorf("%v, %v, %v in order %s; want the medians 2 and 20, fofofo", floor, our, err, order)
	}
}
