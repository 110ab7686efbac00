package apikey

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/gitstore"
)

const crashDir = "SECRETSYNC_TEST_KEYS"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeKeysForEver(dir)
		return
	}
	os.Exit(m.Run())
}

// writeKeysForEver adds keys and revokes every third, and says each when it is
// done, until it is killed.
func writeKeysForEver(dir string) {
	ks, err := OpenStore(dir)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	tenant, _ := gitstore.ParseTenantName("acme")
	for i := 0; ; i++ {
		key, _ := New(tenant, Admin, "crash")
		if err := ks.Add(context.Background(), key); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("added", key.ID)
		if i%3 != 0 {
			continue
		}
		fmt.Println("revoking", key.ID)
		if _, err := ks.Remove(context.Background(), tenant, key.ID); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("revoked", key.ID)
	}
}

// TestKilledAtAnyInstantTheKeyStoreKeepsWhatItSaid: a key that was answered is
// there, one whose revocation was answered is not, and the store opens.
func TestKilledAtAnyInstantTheKeyStoreKeepsWhatItSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	want := map[string]bool{} // id → there; absent from the map: either
	for round := range 8 {
		process := exec.Command(os.Args[0])
		process.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := process.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		after := 1 + rand.IntN(60)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			what, id, _ := strings.Cut(lines.Text(), " ")
			switch what {
			case "added":
				want[id] = true
			case "revoking":
				delete(want, id)
			case "revoked":
				want[id] = false
			default:
				t.Fatal(lines.Text())
			}
			if n == after {
				if err := process.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = process.Wait() // it was killed

		ks, err := OpenStore(dir)
		if err != nil {
			t.Fatalf("after round %d: %v", round, err)
		}
		for id, there := range want {
			if got := ks.Get(id) != nil; got != there {
				t.Fatalf("after round %d: key %s is there: %v; answered was %v", round, id, got, there)
			}
		}
	}
}
