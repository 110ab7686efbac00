package vault

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"secretsync/examples/devstack"
	"secretsync/reconcile/fault"
)

// token is what the broker holds.
func (w *world) token() string {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	return w.b.session.Token
}

func TestAnAppRoleIsLoggedInOnceAndItsTokenRenewed(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	// After two thirds of it the token is renewed: a machine may stall for some seconds without its running out.
	w := newWorld(t, proxy.before, withAppRole(12*time.Second))
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	renewals, logins := counted(proxy.Proxy, about("/renew-self")), counted(proxy.Proxy, about("/login"))
	w.until("two renewals", func() bool { return renewals.Load() >= 2 }) // it outlives its first lifetime
	v := w.put("db", map[string]any{"a": "2"})
	w.holds(s, v)
	if n := logins.Load(); n != 0 {
		t.Errorf("%d further logins", n)
	}
	if n := w.lines("vault unusable"); n > 0 {
		t.Errorf("the vault was unusable %d times", n)
	}
}

func TestATokenNearItsGreatestLifetimeIsReplacedInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAppRole(4*time.Second), func(w *world) {
		_, err := w.vault.Client.Logical().Write("auth/approle/role/"+w.name, map[string]any{"token_max_ttl": "8s"})
		w.must(err)
	})
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	first := w.token()
	w.until("a third token", func() bool { return w.token() != first && strings.Count(w.logs.String(), "greatest lifetime") >= 2 })
	w.holds(s, w.put("db", map[string]any{"a": "2"}))
	if n := w.lines("vault unusable"); n > 0 {
		t.Errorf("the vault was unusable %d times", n)
	}
}

func TestARevokedTokenIsReplacedByOneLogin(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, withAppRole(time.Hour))
	var sources []*Source
	for i := range 30 {
		path := fmt.Sprintf("db-%d", i)
		w.put(path, map[string]any{"a": "1"})
		sources = append(sources, w.source(path))
	}
	for _, s := range sources {
		w.holds(s, 1)
	}
	for range 2 { // the second time within the same minute
		logins := counted(proxy.Proxy, about("/login"))
		token := w.token()
		w.must(w.vault.Client.Auth().Token().RevokeTree(token))
		since := time.Now()
		for _, s := range sources {
			w.until("all read again", func() bool { return s.State().Checked.After(since) })
			if f := s.State().Fault; f != nil {
				t.Errorf("%s: %v", s.Path(), f)
			}
		}
		if n := logins.Load(); n != 1 || w.token() == token {
			t.Errorf("%d logins", n)
		}
	}
	if n := w.lines("vault unusable"); n > 0 {
		t.Errorf("the vault was unusable %d times", n)
	}
}

// The role gets a further policy after a denial: the token that is held never
// has it.
func TestAFurtherPolicyIsInForceAfterOneFreshLoginAnInterval(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		interval time.Duration
		ask      func(*world, *Source)
	}{
		"by itself within an interval": {interval: time.Second, ask: func(*world, *Source) {}},
		"when a read is asked for":     {interval: seldom, ask: func(_ *world, s *Source) { s.Refresh() }},
		"on Reread":                    {interval: seldom, ask: func(w *world, _ *Source) { w.b.Reread() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := new(proxyOf)
			w := newWorld(t, proxy.before, withAppRole(time.Hour), every(test.interval), func(w *world) {
				w.must(w.vault.ReadPolicy(w.ctx, w.name, "secret", w.name+"/open"))
				w.must(w.vault.ReadPolicy(w.ctx, w.name+"-shut", "secret", w.name+"/shut"))
			})
			w.put("open/db", map[string]any{"a": "1"})
			w.put("shut/db", map[string]any{"a": "1"})
			open, shut := w.source("open/db"), w.source("shut/db")
			w.holds(open, 1)
			shut.Look()
			if f := w.fails(shut, fault.ReasonVaultForbidden); !strings.Contains(f.Message, "secret/"+w.name+"/shut/db") || f.Again {
				t.Errorf("%+v", f)
			}
			began := time.Now()
			logins := counted(proxy.Proxy, about("/login"))
			if test.interval < time.Minute {
				// One may have been on its way when counting began: the second is the first that was decided on since.
				w.until("four more logins", func() bool { return logins.Load() >= 4 })
				if took := time.Since(began); took < 2*test.interval {
					t.Errorf("four logins within %s", took)
				}
			}
			_, err := w.vault.Client.Logical().Write("auth/approle/role/"+w.name, map[string]any{"token_policies": []string{w.name, w.name + "-shut"}})
			w.must(err)
			test.ask(w, shut)
			w.holds(shut, 1)
			if f := open.State().Fault; f != nil {
				t.Errorf("the other path: %v", f)
			}
			if n := w.lines("vault unusable"); n > 0 {
				t.Errorf("the vault was unusable %d times", n)
			}
		})
	}
}

func TestATokenThatStillWorksIsReplacedByTheFilesNewOne(t *testing.T) {
	t.Parallel()
	for _, reread := range []bool{false, true} {
		t.Run(fmt.Sprintf("reread=%v", reread), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.cfg.Token, w.cfg.TokenFile = "", w.file("token", w.vault.RootToken)
				if reread {
					w.o.Interval = seldom
				}
			})
			w.put("db", map[string]any{"a": "1"})
			s := w.source("db")
			w.holds(s, 1)
			w.must(w.vault.ReadPolicy(w.ctx, w.name, "secret", w.name))
			next, err := w.vault.Token(w.ctx, time.Hour, w.name)
			w.must(err)
			look := func() {
				if reread {
					w.b.Reread()
				}
			}
			// What is no token does not take the good one away.
			w.file("token", `{"auth": {"client_token": "hvs.x"}}`)
			look()
			w.logged("vault login failed", "holds JSON")
			s.Refresh()
			w.until("a read", func() bool { return !s.State().Asked })
			if s.State().Fault != nil || w.b.Outage() != nil {
				t.Errorf("%+v, %+v", s.State().Fault, w.b.Outage())
			}
			w.file("token", next+"\n")
			look()
			w.until("the new token", func() bool { return w.token() == next })
			w.holds(s, w.put("db", map[string]any{"a": "2"}))
			if strings.Contains(w.logs.String(), next) || w.lines("vault unusable") > 0 {
				t.Error("the log holds the token or an outage")
			}
		})
	}
}

func TestFilesThatAreMissingOrBadAreAnOutageWithTheCause(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bad    func(*world)
		reason fault.Reason
		says   string
		mend   func(*world)
	}{
		"a token file that is not there": {
			bad:    func(w *world) { w.cfg.Token, w.cfg.TokenFile = "", w.dir+"/token" },
			reason: fault.ReasonVaultForbidden, says: "tokenFile names: it does not exist",
			mend: func(w *world) { w.file("token", w.vault.RootToken) },
		},
		"a token file with JSON": {
			bad:    func(w *world) { w.cfg.Token, w.cfg.TokenFile = "", w.file("token", "{\n\"token\": \"hvs.x\"}") },
			reason: fault.ReasonVaultForbidden, says: "it holds JSON; put only the token",
			mend: func(w *world) { w.file("token", w.vault.RootToken) },
		},
		"an empty token file": {
			bad:    func(w *world) { w.cfg.Token, w.cfg.TokenFile = "", w.file("token", "\n") },
			reason: fault.ReasonVaultForbidden, says: "it is empty",
			mend: func(w *world) { w.file("token", w.vault.RootToken) },
		},
		"a token file of two lines": {
			bad:    func(w *world) { w.cfg.Token, w.cfg.TokenFile = "", w.file("token", "a\nb") },
			reason: fault.ReasonVaultForbidden, says: "more than one word",
			mend: func(w *world) { w.file("token", w.vault.RootToken) },
		},
		"a folder in place of the token file": {
			bad:    func(w *world) { w.cfg.Token, w.cfg.TokenFile = "", w.dir },
			reason: fault.ReasonVaultForbidden, says: "it can't be read",
		},
		"a token that is wrong": {
			bad:    func(w *world) { w.cfg.Token, w.cfg.TokenFile = "", w.file("token", "hvs.wrong") },
			reason: fault.ReasonVaultForbidden, says: "refuses the tenant's token",
			mend: func(w *world) { w.file("token", w.vault.RootToken) },
		},
		"a secret id that is missing": {
			bad: func(w *world) {
				withAppRole(time.Hour)(w)
				w.cfg.AppRole.SecretIDFile += ".none"
			},
			reason: fault.ReasonVaultForbidden, says: "appRole.secretIDFile names: it does not exist",
			mend: func(w *world) {
				id, err := w.vault.Client.Logical().Write("auth/approle/role/"+w.name+"/secret-id", nil)
				w.must(err)
				w.file("secret-id.none", id.Data["secret_id"].(string))
			},
		},
		"a CA bundle that is missing": {
			bad:    func(w *world) { w.cfg.CAFile = w.dir + "/ca" },
			reason: fault.ReasonVaultUnavailable, says: "caFile names: it does not exist",
			mend: func(w *world) { w.file("ca", pemOf(w.t)) },
		},
		"a CA bundle without a certificate": {
			bad:    func(w *world) { w.cfg.CAFile = w.file("ca", "nothing") },
			reason: fault.ReasonVaultUnavailable, says: "it holds no PEM certificate",
			mend: func(w *world) { w.file("ca", pemOf(w.t)) },
		},
		"a client certificate without its key": {
			bad: func(w *world) {
				w.cfg.ClientCertFile, w.cfg.ClientKeyFile = w.file("crt", pemOf(w.t)), w.file("key", "nothing")
			},
			reason: fault.ReasonVaultUnavailable, says: "are no certificate with its key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.bad)
			w.put("db", map[string]any{"a": "1"})
			s := w.source("db")
			s.Look()
			if o := w.down(test.reason); !strings.Contains(o.Message, test.says) {
				t.Errorf("%q", o.Message)
			}
			if line := w.logged("vault unusable", string(test.reason)); !strings.Contains(line, "wrong") && !strings.Contains(line, "refuses") && !strings.Contains(line, w.dir) && !strings.Contains(line, "certificate") {
				t.Errorf("the log does not tell which file: %s", line)
			}
			if strings.Contains(w.logs.String(), "hvs.") {
				t.Error("a token is in the log")
			}
			if test.mend == nil {
				return
			}
			test.mend(w)
			w.up()
			w.holds(s, 1)
		})
	}
}

func TestATokenThatMayNotLookAtItselfIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.must(w.vault.ReadPolicy(w.ctx, w.name, "secret", w.name))
		secret, err := w.vault.Client.Auth().Token().Create(&vaultapi.TokenCreateRequest{Policies: []string{w.name}, NoDefaultPolicy: true, TTL: "1h"})
		w.must(err)
		w.cfg.Token = secret.Auth.ClientToken
	})
	w.put("db", map[string]any{"a": "1"})
	s := w.source("db")
	w.holds(s, 1)
	// A doubt about the vault ends though the lookup is denied.
	w.b.mu.Lock()
	w.b.session.doubt = true
	w.b.mu.Unlock()
	w.holds(s, w.put("db", map[string]any{"a": "2"}))
	if n := w.lines("vault unusable"); n > 0 {
		t.Errorf("the vault was unusable %d times", n)
	}
	w.must(w.vault.Client.Auth().Token().RevokeTree(w.cfg.Token))
	w.down(fault.ReasonVaultForbidden)
}

func TestATokenIsGivenBackAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAppRole(time.Hour))
	w.up()
	token := w.token()
	w.stop()
	if _, err := w.vault.Client.Auth().Token().Lookup(token); err == nil {
		t.Error("it is still good")
	}
}

// It is told while the next address is configured already.
func TestATokenThatCannotBeGivenBackIsToldOfTheAddressThatGaveIt(t *testing.T) {
	t.Parallel()
	one, two := new(proxyOf), new(proxyOf)
	w := newWorld(t, two.before, one.before, withAppRole(time.Hour))
	w.up()
	for _, p := range []*proxyOf{one, two} {
		p.Inject(devstack.Fault{Match: about("/revoke-self"), Status: http.StatusInternalServerError})
	}
	moved := w.cfg
	for i := range 6 {
		token := w.token()
		moved.Address = []string{two.URL, one.URL}[i%2]
		w.b.Configure(moved, seldom, 0, 0)
		w.until("a login there", func() bool { now := w.token(); return now != "" && now != token })
	}
	w.until("each is told of", func() bool { return w.lines("token not given back") == 6 })
	for _, at := range []string{one.URL, two.URL} {
		if n := w.lines("token not given back\" tenant=" + w.name + " vault=" + at + " "); n != 3 {
			t.Errorf("of three tokens that %s gave %d are told of", at, n)
		}
	}
}

func TestALookupThatTimesOutDoesNotSayThatTheTokenIsRefused(t *testing.T) {
	t.Parallel()
	proxy := new(proxyOf)
	w := newWorld(t, proxy.before, func(w *world) {
		w.cfg.Timeout = 300 * time.Millisecond
		proxy.Inject(devstack.Fault{Match: about("lookup-self"), Drop: true})
	})
	w.source("db").Look()
	if o := w.down(fault.ReasonVaultUnavailable); !strings.Contains(o.Message, "no answer in time") || !o.Again {
		t.Errorf("%+v", o)
	}
	proxy.Clear()
	proxy.Disconnect()
	w.up()
}
