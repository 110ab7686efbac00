package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"secretsync/gitstore"
)

func tenant(t testing.TB, name string) gitstore.TenantName {
	t.Helper()
	n, err := gitstore.ParseTenantName(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestATenantsShardNeverChanges(t *testing.T) {
	for name, want := range map[string]int{"acme": 15, "globex": 14, "initech": 1} {
		if got := Of(tenant(t, name), 16); got != want {
			t.Errorf("%s is in shard %d of 16, was in %d in another version", name, got, want)
		}
	}
	load := make([]int, 16)
	for i := range 1000 {
		load[Of(tenant(t, fmt.Sprintf("tenant-%04d", i)), 16)]++
	}
	if slices.Max(load) > 2*slices.Min(load) {
		t.Errorf("1,000 tenants lie unevenly in 16 shards: %v", load)
	}
}

func names(prefix string, n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", prefix, i))
	}
	return names
}

func count(assigned map[int]string) map[string]int {
	load := make(map[string]int)
	for _, m := range assigned {
		load[m]++
	}
	return load
}

func TestEveryShardHasAMemberAndSharesAreFair(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		shards, n := 1+r.IntN(100), 1+r.IntN(12)
		members := names(fmt.Sprintf("replica-%d", r.IntN(1000)), n)
		assigned := Assign(members, shards)
		if len(assigned) != shards {
			t.Fatalf("%d members hold %d of %d shards", n, len(assigned), shards)
		}
		for m, load := range count(assigned) {
			if !slices.Contains(members, m) || load > (shards+n-1)/n || load < shards/n {
				t.Fatalf("%s has %d of %d shards with %d members", m, load, shards, n)
			}
		}
		if shards >= n && len(count(assigned)) != n {
			t.Fatalf("of %d members %d have any of %d shards", n, len(count(assigned)), shards)
		}
	}
	if len(Assign(nil, 16)) != 0 {
		t.Error("shards without members")
	}
}

func TestAllReplicasAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		members := names("replica", 1+r.IntN(10))
		want := Assign(members, 16)
		r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		if got := Assign(append(members, members[0]), 16); !maps.Equal(got, want) {
			t.Fatalf("%v\n%v", got, want)
		}
	}
}

// Who comes or goes must move its own share. What moves besides, because the shares of the others
// change as well, is bounded.
func TestAMemberThatComesOrGoesMovesLittle(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	moved, least := 0, 0
	const rounds = 2000
	for range rounds {
		shards, n := 8+r.IntN(57), 1+r.IntN(7)
		members := names(fmt.Sprintf("r%d", r.IntN(1_000_000)), n+1)
		before, after := Assign(members[:n], shards), Assign(members, shards)
		for s := range shards {
			if before[s] != after[s] {
				moved++
			}
		}
		least += count(after)[members[n]]
	}
	t.Logf("%d shards moved in %d changes; %d had to", moved, rounds, least)
	if 4*moved > 5*least {
		t.Errorf("%d shards moved where %d had to", moved, least)
	}
}
