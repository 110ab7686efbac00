package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"secretsync/httpapi/limit"
)

// TestAKeyThatWasJustMadeSignsInThroughAnyReplica: it is not known there yet. What is wrong is refused as soon as that is sure,
// and a flood of it has little looked for.
func TestAKeyThatWasJustMadeSignsInThroughAnyReplica(t *testing.T) {
	for name, c := range map[string]struct {
		lost          error  // what others made can't be known
		right, wrong  int    // what a key is told that was just made, and one that is none
		shows         string // the page of the former
		looked, waits int    // how often is looked for keys at most, of how many guesses at least are told to wait
	}{
		"and what others made can be known": {right: 200, wrong: 401, shows: "Sign out", looked: 10, waits: 15},
		"and what others made can't":        {lost: errors.New("the API server does not answer"), right: 503, wrong: 503, shows: "can&#39;t be judged now", looked: 25, waits: 5},
	} {
		t.Run(name, func(t *testing.T) {
			rs := newReplicas(t, func(c *Config) { c.Limits = limit.Limits{Rate: 0.001, Burst: 20, FreeFailures: 3} })
			made := rs.at(rs.a).do("POST", "/api/v1/tenants/acme/apikeys", rs.admin, `{"displayName":"Ada","role":"readonly"}`)
			var fresh struct{ ID, Key string }
			if err := json.Unmarshal(made.body, &fresh); err != nil || made.status != http.StatusCreated {
				t.Fatalf("%d %s: %v", made.status, made.body, err)
			}
			store := &behind{KeyStore: rs.c.cfg.KeyStore, made: rs.a.cfg.KeyStore.Get(fresh.ID), lost: c.lost}
			rs.c.cfg.KeyStore = store
			p := newPerson(rs.world)
			if status, body := p.send("/console/sign-in", url.Values{"key": {fresh.Key}}); status != c.right || !strings.Contains(body, c.shows) {
				t.Errorf("a key that was just made: %d %.400s; want %d, %q", status, body, c.right, c.shows)
			}
			told := map[int]int{}
			for range 30 {
				status, _ := newPerson(rs.world).send("/console/sign-in", url.Values{"key": {"kupe_ak-nobody_" + strings.Repeat("a", 43)}})
				told[status]++
			}
			if looked := int(store.asked.Load()); told[c.wrong] == 0 || told[http.StatusTooManyRequests] < c.waits || told[c.wrong]+told[http.StatusTooManyRequests] != 30 || looked == 0 || looked > c.looked {
				t.Errorf("30 guesses were told %v, and it was looked %d times; want %d or to wait", told, looked, c.wrong)
			}
		})
	}
}
