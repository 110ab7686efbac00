package githttp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func packet(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

const (
	zero = "0000000000000000000000000000000000000000"
	one  = "1111111111111111111111111111111111111111"
)

func TestAPushIsReadAlongHoweverItIsCut(t *testing.T) {
	sent := packet("shallow "+one) + packet(zero+" "+one+" refs/heads/a\x00report-status side-band-64k agent=git/2") +
		packet(one+" "+zero+" refs/heads/b c\n") + "0000" + "PACK" + strings.Repeat("0005x", 100)
	report := packet("unpack ok\n") + packet("ok refs/heads/a\n") + packet("ng refs/heads/b c pre-receive hook declined\n") + "0000"
	answer := packet("\x02Resolving deltas\n") + "0005\x01" + packet("\x01"+report[:7]) + packet("\x02 ok refs/heads/b c") + packet("\x01"+report[7:]) + "0000"
	want := []Update{{Ref: "refs/heads/a", Old: zero, New: one, Done: true}, {Ref: "refs/heads/b c", Old: one, New: zero}}
	for cut := 1; cut < len(sent); cut++ {
		p := newPush()
		for part := range slices.Chunk([]byte(sent), cut) {
			if err := p.sent(part); err != nil {
				t.Fatal(err)
			}
		}
		for part := range slices.Chunk([]byte(answer), cut) {
			p.got(part)
		}
		if got := p.asked(); !reflect.DeepEqual(got, want) {
			t.Fatalf("cut by %d: %+v", cut, got)
		}
	}

	p := newPush() // without side-bands
	if err := p.sent([]byte(packet(zero+" "+one+" refs/heads/a\x00report-status") + "0000")); err != nil {
		t.Fatal(err)
	}
	p.got([]byte(report))
	if got := p.asked(); len(got) != 1 || !got[0].Done {
		t.Errorf("%+v", got)
	}
}

func TestAPushOfEndlesslyManyReferencesIsCutOff(t *testing.T) {
	p := newPush()
	line := []byte(strings.Repeat(packet(zero+" "+one+" refs/heads/a"), 1000))
	for range 2 + mostCommands/len(line) {
		if err := p.sent(line); err != nil {
			if !errors.Is(err, ErrRequest) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("is taken")
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte(packet(zero+" "+one+" refs/heads/a\x00side-band-64k")+"0000"), []byte(packet("\x01"+packet("ok refs/heads/a"))+"0000"))
	f.Add([]byte("0003"), []byte("ffff"))
	f.Add([]byte("0001"), []byte("+fff"))
	f.Fuzz(func(t *testing.T, sent, got []byte) {
		p := newPush()
		if p.sent(sent) == nil {
			p.got(got)
		}
		p.asked()
	})
}

func TestOnlyAGitThatObeysIsUsed(t *testing.T) {
	for said, usable := range map[string]bool{
		"git version 2.39.5": true, "git version 2.36.0": true, "git version 3.0.0": true, "git version 2.50.1 (Apple Git-155)": true,
		"git version 2.35.9": false, "git version 1.9.1": false, "git version 2": false, "git version two.three": false, "hello": false, "": false,
	} {
		t.Run(said, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "git")
			if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+said+"'\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			found, err := findGit(path)
			if usable && (err != nil || found != path) || !usable && !errors.Is(err, ErrNoGit) {
				t.Errorf("%q, %v", found, err)
			}
		})
	}
}

func TestTheEnvironmentOfGitHoldsNothingOfTheServers(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "canary")
	t.Setenv("GIT_CONFIG_PARAMETERS", "'core.hooksPath=/canary'")
	s, err := New(Config{Dir: filepath.Join(t.TempDir(), "git"), Hook: "/bin/true"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for asked, want := range map[string]string{
		"": "", "version=2": "version=2", "version=1": "version=1", "version=3": "", "version=2:x": "", "version=2\nHOME=/": "",
	} {
		env := s.environment(asked, UploadPack)
		for _, v := range env {
			if name, _, _ := strings.Cut(v, "="); !slices.Contains([]string{"PATH", "HOME", "LC_ALL", "GOMAXPROCS", "GOMEMLIMIT"}, name) && !strings.HasPrefix(name, "GIT_") || strings.Contains(v, "canary") {
				t.Errorf("%q: %s", asked, v)
			}
		}
		protocol := slices.IndexFunc(env, func(v string) bool { return strings.HasPrefix(v, "GIT_PROTOCOL=") })
		if want == "" && protocol >= 0 || want != "" && (protocol < 0 || env[protocol] != "GIT_PROTOCOL="+want) {
			t.Errorf("%q: %q", asked, env)
		}
	}
	if env := s.environment("version=2", ReceivePack); slices.Contains(env, "GIT_PROTOCOL=version=2") {
		t.Error("receive-pack has no version 2")
	}
}

func TestPlacesAreForAllTenants(t *testing.T) {
	p := newPlaces(3, 2)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var leave []func()
	for _, tenant := range []string{"a", "a", "b"} {
		l, err := p.take(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	if _, err := p.take(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a third of a: %v", err)
	}
	if _, err := p.take(gone, "c"); !errors.Is(err, context.Canceled) {
		t.Errorf("a fourth of all: %v", err)
	}
	leave[0]()
	c, err := p.take(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range append(leave[1:], c) {
		l()
	}
	if len(p.tenants) > 0 {
		t.Errorf("kept: %v", p.tenants)
	}
}
