package reconcile

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"secretsync/gitstore"
)

// placeWorld is a cluster with one claimed place, and what it wakes.
func placeWorld(t *testing.T) (c *cluster, x *target, woken *int) {
	t.Helper()
	metrics, err := newMetrics(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	c = newCluster(Cluster{Name: "eu"}, clock, log, newHasher(testKey), metrics)
	woken = new(int)
	c.wake = func(priority, ...*unit) { *woken++ }
	c.down.Store(nil)
	owner := owner{"acme", "db"}
	x = &target{tenant: &tenant{clock: clock, log: log, metrics: metrics}, unit: &unit{}, owner: owner, key: placeKey{"payments", "db"}, cluster: c}
	c.claim(x)
	return c, x, woken
}

func at(rv string) *record {
	return &record{owner: owner{"acme", "db"}, stamp: planStamp, intact: true, labelled: true, rv: rv}
}

func TestTheEchoOfOurOwnWriteWakesNobody(t *testing.T) {
	for name, order := range map[string]func(c *cluster, x *target){
		"the answer first": func(c *cluster, x *target) { c.wrote(x.place, at("10")); c.saw(x.key, at("10"), "10") },
		"the echo first":   func(c *cluster, x *target) { c.saw(x.key, at("10"), "10"); c.wrote(x.place, at("10")) },
	} {
		t.Run(name, func(t *testing.T) {
			c, x, woken := placeWorld(t)
			c.right(x, planStamp)
			order(c, x)
			if *woken != 0 || x.place.copy == nil {
				t.Errorf("woken %d times; copy %v", *woken, x.place.copy)
			}
		})
	}
}

func TestACopyDeletedBeforeTheAnswerCameIsNotTakenForThere(t *testing.T) {
	c, x, woken := placeWorld(t)
	c.right(x, planStamp)
	j := &job{target: x}
	c.begins(x.place, j)
	c.saw(x.key, at("10"), "10")
	c.saw(x.key, nil, "11")
	c.wrote(x.place, at("10"))
	x.synced(time.Unix(1000, 0), 3, "", true)
	*woken = 0
	c.ends(x.place)
	if x.place.copy != nil {
		t.Error("it is taken for there")
	}
	if *woken != 1 {
		t.Errorf("woken %d times", *woken)
	}
	if o := x.outcome.Load(); o.reason == ReasonSynced {
		t.Error("it is said to be Synced")
	}
}

func TestAnEditBeforeTheAnswerCameIsPutRight(t *testing.T) {
	c, x, woken := placeWorld(t)
	c.right(x, planStamp)
	c.begins(x.place, &job{target: x})
	edited := at("12")
	edited.intact = false
	c.saw(x.key, edited, "12")
	c.wrote(x.place, at("10"))
	x.synced(time.Unix(1000, 0), 3, "", true)
	*woken = 0
	c.ends(x.place)
	if *woken != 1 || x.place.copy != edited {
		t.Errorf("woken %d times, copy %+v", *woken, x.place.copy)
	}
}

func TestAListingKeepsWhatWasWrittenSinceItBegan(t *testing.T) {
	c, x, _ := placeWorld(t)
	c.right(x, planStamp)
	c.listing++
	c.wrote(x.place, at("20"))
	c.replaced(map[placeKey]*record{}, "15")
	if x.place.copy == nil {
		t.Error("what was written after the listing is forgotten")
	}
	c.listing++
	c.replaced(map[placeKey]*record{}, "15") // another server, with other versions
	if x.place.copy != nil {
		t.Error("what was written before the listing is kept")
	}
}

func TestARecordHoldsNoData(t *testing.T) {
	h := newHasher(testKey)
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s", Labels: map[string]string{LabelManagedBy: managedBy, LabelTenant: "acme", LabelName: "db"}}, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"a": []byte("1")}}
	sum := h.sum(owner{"acme", "db"}, placeKey{"n", "s"}, s.Data)
	s.Annotations = map[string]string{AnnotationHash: sum.String()}
	if r := h.observe(s); !r.intact || !r.labelled {
		t.Errorf("%+v", r)
	}
	for name, o := range map[string]owner{"another tenant": {"other", "db"}, "another definition": {"acme", "other"}} {
		if h.sum(o, placeKey{"n", "s"}, s.Data) == sum {
			t.Errorf("the hash of %s is the same", name)
		}
	}
	if h.sum(owner{"acme", "db"}, placeKey{"n", "s"}, map[string][]byte{"a1": nil}) == sum || newHasher([]byte("another key, of sixteen")).sum(owner{"acme", "db"}, placeKey{"n", "s"}, s.Data) == sum {
		t.Error("the hash of other data, or with another key, is the same")
	}
	if r, may := h.claimable(owner{"acme", "db"}, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s"}}); may || r.labelled {
		t.Error("a Secret without any hash may be taken")
	}
}

// right says what a copy is right with, as a pass does.
func (c *cluster) right(t *target, want stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.place.want, t.place.wanting = want, t.owner
}

func TestACopyThatIsGoneSinceItWasLookedAtIsNotSaidToBeThere(t *testing.T) {
	c, x, _ := placeWorld(t)
	c.saw(x.key, at("10"), "10")
	s := &step{view: &view{target: x, copy: x.place.copy}, want: planStamp}
	if !c.keep(s, time.Unix(1000, 0)) || x.outcome.Load().reason != ReasonSynced {
		t.Fatal("a copy that stands is not kept")
	}
	c.saw(x.key, nil, "11")
	if c.keep(s, time.Unix(1000, 0)) || x.outcome.Load().reason == ReasonSynced {
		t.Error("a copy that is gone is said to be Synced")
	}
	if o := x.outcome.Load(); o.version != 0 || o.commit != "" {
		t.Errorf("it is said to be version %d of commit %s", o.version, o.commit)
	}
}

func TestARivalClaimMakesNoFightOfHarmlessEvents(t *testing.T) {
	c, x, woken := placeWorld(t)
	rival := &target{tenant: x.tenant, unit: &unit{}, owner: owner{"acme", "other"}, key: x.key, cluster: c}
	c.claim(rival)
	c.saw(x.key, at("10"), "10")
	c.right(x, planStamp)
	x.synced(time.Unix(1000, 0), 3, "", true)
	*woken = 0
	for _, rv := range []string{"11", "12", "13", "14", "15", "16", "17"} {
		c.saw(x.key, at(rv), rv) // somebody labels it
	}
	if o := x.outcome.Load(); *woken != 0 || o.reason != ReasonSynced {
		t.Errorf("woken %d times; %+v", *woken, o)
	}
	for i := range repairsMost - 1 { // the first sight of it counted as well
		edited := at(fmt.Sprint(20 + i))
		edited.intact = false
		c.saw(x.key, edited, edited.rv)
		if want := 2 * (i + 1); *woken != want { // both claims look who has it
			t.Fatalf("after edit %d woken %d times, not %d", i+1, *woken, want)
		}
	}
}

func TestNobodyIsWokenForRoomThatIsNotThere(t *testing.T) {
	c, x, woken := placeWorld(t)
	acme, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	big := &job{step: step{view: &view{}, action: create}, target: x, value: &value{size: laneBytes + 1}}
	x.tenant.name = gitstore.TenantName{} // another tenant's values fill the lane
	*woken = 0
	c.hand(big)
	c.parkUnit(&unit{tenant: &tenant{name: acme}})
	if *woken != 0 || c.hasRoom(acme) {
		t.Fatalf("woken %d times while there is no room", *woken)
	}
	c.takeJob(x.place)
	for _, tenant := range c.waitingForRoom() {
		c.unpark(tenant)
	}
	if *woken != 1 {
		t.Errorf("woken %d times when there is room", *woken)
	}
}

func TestAnOutageLetsParkedUnitsGoOn(t *testing.T) {
	c, x, woken := placeWorld(t)
	x.unit.tenant = x.tenant
	c.announce = func() {}
	c.parked[x.tenant.name] = []*unit{x.unit}
	*woken = 0
	c.fail(unreachable("down"))
	if *woken != 1 || len(c.parked) != 0 {
		t.Errorf("woken %d times; parked %v", *woken, c.parked)
	}
}

func TestAPassThatLeftItToAJobLooksAgainAtItsEnd(t *testing.T) {
	c, x, woken := placeWorld(t)
	if c.leave(x) {
		t.Error("there is no job to leave it to")
	}
	c.begins(x.place, &job{target: x})
	if !c.leave(x) {
		t.Error("there is a job to leave it to")
	}
	*woken = 0
	c.ends(x.place)
	if *woken != 1 {
		t.Errorf("woken %d times", *woken)
	}
}

func TestAWriteFromBeforeItWasAskedForIsNotTheAnswer(t *testing.T) {
	c, x, _ := placeWorld(t)
	x.unit.tenant = &tenant{clock: c.clock, interval: time.Minute, schedule: newSchedule(clocktesting.NewFakeClock(time.Unix(1000, 0)), nil)}
	x.unit.position = -1
	j := &job{target: x, step: step{want: planStamp}}
	x.unit.asked.Add(1)
	j.settleSynced(time.Unix(1000, 0))
	if o := x.outcome.Load(); o.reason == ReasonSynced {
		t.Errorf("%+v", o)
	}
	j.asked = x.unit.asked.Load()
	j.settleSynced(time.Unix(1000, 0))
	if o := x.outcome.Load(); o.reason != ReasonSynced {
		t.Errorf("%+v", o)
	}
}
