package cli

import (
	"slices"
	"testing"
	"time"

	"secretsync/httpapi/client"
)

func secretAt(revision, phase string, targets ...client.SyncStatus) *client.Secret {
	return &client.Secret{Name: "db", ResourceVersion: revision, Status: client.Status{Phase: phase, SyncStatuses: targets}}
}

func TestEventsSayWhatIsOther(t *testing.T) {
	two := 2
	at := func(namespace, state, reason, message string, version *int) client.SyncStatus {
		return client.SyncStatus{Cluster: "c", Namespace: namespace, SecretName: "db", State: state, Reason: reason, Message: message, VaultVersion: version}
	}
	pending, synced := at("a", "Pending", "ValueNotFound", "no value", nil), at("a", "Synced", "Synced", "", &two)
	looked := synced
	looked.LastSyncTime = time.Now()
	for name, c := range map[string]struct {
		before, now *client.Secret
		want        []string
	}{
		"a new one":              {nil, secretAt("abc", "Pending", pending), []string{"db added by commit abc", "db to c/a/db Pending, ValueNotFound: no value", "db Pending"}},
		"one that is gone":       {secretAt("abc", "Active"), nil, []string{"db removed"}},
		"one that is synced":     {secretAt("abc", "Pending", pending), secretAt("abc", "Active", synced), []string{"db to c/a/db Synced, version 2 of the value", "db Active"}},
		"another commit":         {secretAt("abc", "Active", synced), secretAt("def", "Active", synced), []string{"db changed by commit def"}},
		"a target that goes":     {secretAt("abc", "Active", synced), secretAt("def", "Active"), []string{"db changed by commit def", "db to c/a/db no longer synced"}},
		"it was only looked at":  {secretAt("abc", "Active", synced), secretAt("abc", "Active", looked), nil},
		"another reason for it":  {secretAt("abc", "Pending", pending), secretAt("abc", "Pending", at("a", "Pending", "Queued", "", nil)), []string{"db to c/a/db Pending, Queued"}},
		"another of two targets": {secretAt("abc", "Failed", pending, at("b", "Error", "Forbidden", "no", nil)), secretAt("abc", "Failed", pending, at("b", "Error", "NotOwned", "no", nil)), []string{"db to c/b/db Error, NotOwned: no"}},
	} {
		var got []string
		for _, e := range eventsOf(seen{c.before, c.now}) {
			got = append(got, e.of+" "+e.state+e.text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatDiffersIsToldOnce(t *testing.T) {
	before := map[string]*client.Secret{}
	if got := compareSeen(before, []client.Secret{*secretAt("a", "Active")}); len(got) != 1 || got[0].before != nil {
		t.Errorf("at first %+v", got)
	}
	if got := compareSeen(before, []client.Secret{*secretAt("a", "Active")}); len(got) != 0 {
		t.Errorf("then %+v", got)
	}
	if got := compareSeen(before, nil); len(got) != 1 || got[0].now != nil {
		t.Errorf("when it is gone %+v", got)
	}
}

func TestAnAgeIsInTheUnitThatTellsItBest(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 119 * time.Minute: "119m", 47 * time.Hour: "47h", 100 * 24 * time.Hour: "100d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %s, not %s", d, got, want)
		}
	}
}
