package kube

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var place = Key{"payments", "db"}

// stamped is the Secret that a write makes, at a resource version.
func stamped(c *Cluster, d Desired, rv string) *corev1.Secret {
	s := d.sends(c.hasher.Sum(c.Identity(), d.Key, d.Owner, d.Data)).secret(maps.Clone(d.Data))
	s.UID, s.ResourceVersion = "uid", rv
	s.ManagedFields = []metav1.ManagedFieldsEntry{changed(FieldManager, 1000)}
	return s
}

func changed(manager string, at int64) metav1.ManagedFieldsEntry {
	now := metav1.NewTime(time.Unix(at, 0))
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &now, FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:a":{}}}`)}
}

var wanted = Desired{Key: place, Owner: owner, Stamp: Stamp{Path: "production/db", Version: 1, Created: "2026-01-02T03:04:05Z"}, Data: map[string][]byte{"a": []byte("1")}}

// answered makes a write whose answer is still to come, and what takes it in.
func writing(c *Cluster, rv string) (answered func() *Copy) {
	digest := c.hasher.Sum(c.Identity(), place, owner, wanted.Data)
	f := c.takeOff(place, wanted.sends(digest))
	s := stamped(c, wanted, rv)
	return func() *Copy {
		r, err := c.landed(context.Background(), nil, f, &metav1.PartialObjectMetadata{ObjectMeta: s.ObjectMeta}, digest, nil, "create")
		if err != nil {
			panic(err)
		}
		return r
	}
}

func TestTheEchoOfOurOwnWriteConfirmsItOnce(t *testing.T) {
	c, o := still(t)
	if r := writing(c, "10")(); !r.Unconfirmed || o.of(place) != 0 {
		t.Errorf("%v", r)
	}
	for range 2 {
		c.saw(place, stamped(c, wanted, "10"), "10")
		r := c.Look(place).Copy
		if r.Unconfirmed || !r.Right(owner, wanted.Stamp, "", 0) || r.Altered != nil || r.Manager != nil || o.of(place) != 1 || len(c.expected) != 0 || len(c.flights) != 0 {
			t.Errorf("%v; told %d times", r, o.of(place))
		}
	}
}

func TestAnEchoBeforeTheAnswerIsOurOwnWriteAllTheSame(t *testing.T) {
	c, _ := still(t)
	c.saw(place, stamped(c, wanted, "5"), "5")
	answered := writing(c, "10")
	echo := stamped(c, wanted, "10")
	echo.ManagedFields[0] = changed(FieldManager, 2000)
	c.saw(place, echo, "10")
	if r := answered(); r.Manager != nil || r.Altered != nil || r.Unconfirmed {
		t.Errorf("%+v", r)
	}
	if r := c.Look(place).Copy; r.Manager != nil || len(c.expected) != 0 {
		t.Errorf("%+v, %d expected", r, len(c.expected))
	}
}

func TestACopyDeletedBeforeTheAnswerCameIsNotTakenForThere(t *testing.T) {
	c, _ := still(t)
	answered := writing(c, "10")
	c.saw(place, stamped(c, wanted, "10"), "10")
	c.saw(place, nil, "11")
	answered()
	if seen := c.Look(place); seen.Copy != nil || !seen.Left {
		t.Errorf("%+v", seen)
	}
	// The deletion comes before anything else is told.
	answered = writing(c, "20")
	c.saw(place, nil, "21")
	answered()
	if c.Look(place).Copy != nil {
		t.Error("it is taken for there")
	}
}

func TestAnEditBeforeTheAnswerCameIsWhatStands(t *testing.T) {
	c, _ := still(t)
	answered := writing(c, "10")
	edited := stamped(c, wanted, "12")
	edited.Data["a"] = []byte("edited")
	c.saw(place, edited, "12")
	answered()
	if r := c.Look(place).Copy; r.Intact || r.ResourceVersion != "12" {
		t.Errorf("%+v", r)
	}
}

func TestAListingKeepsWhatWasWrittenSinceItBegan(t *testing.T) {
	for where, name := range map[string]string{"": "everywhere", "payments": "by namespace"} {
		t.Run(name, func(t *testing.T) {
			c, _ := still(t)
			c.listingBegins(where)
			writing(c, "20")()
			c.replaced(where, map[Key]*Copy{}, "15")
			if c.Look(place).Copy == nil {
				t.Error("what was written after the listing is forgotten")
			}
			c.listingBegins(where)
			c.replaced(where, map[Key]*Copy{}, "15") // another server, with other versions
			if seen := c.Look(place); seen.Copy != nil || !seen.Left {
				t.Error("what was written before the listing is kept")
			}
			// What was written while it was listed is newer than what it lists.
			c.listingBegins(where)
			old := c.observe(stamped(c, wanted, "30"))
			writing(c, "40")()
			c.replaced(where, map[Key]*Copy{place: old}, "35")
			if r := c.Look(place).Copy; r.ResourceVersion != "40" {
				t.Errorf("%+v", r)
			}
			// A server that was restored has older versions, which are what stands.
			c.listingBegins(where)
			c.replaced(where, map[Key]*Copy{place: old}, "30")
			if r := c.Look(place).Copy; r.ResourceVersion != "30" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAListingOfOneNamespaceLeavesTheOthersAlone(t *testing.T) {
	c, _ := still(t)
	writing(c, "10")()
	c.listingBegins("another")
	c.replaced("another", map[Key]*Copy{}, "20")
	if c.Look(place).Copy == nil {
		t.Error("it is gone")
	}
}

func TestNothingReadIsNotTakenForTheLastWord(t *testing.T) {
	c, _ := still(t)
	// A read that found none, answered after somebody created it.
	before := c.place(place)
	c.saw(place, stamped(c, wanted, "10"), "10")
	if c.found(place, nil, before) == nil || c.Look(place).Copy == nil {
		t.Error("the Secret that came meanwhile is forgotten")
	}
	if c.found(place, nil, c.place(place)) != nil || c.Look(place).Copy != nil {
		t.Error("the Secret that is gone is kept")
	}
	c.saw(place, stamped(c, wanted, "20"), "20")
	c.found(place, c.observe(stamped(c, wanted, "15")), nil)
	if r := c.Look(place).Copy; r.ResourceVersion != "20" {
		t.Errorf("an older answer is taken: %+v", r)
	}
}

func TestHarmlessChangesTellNobody(t *testing.T) {
	c, o := still(t)
	c.saw(place, stamped(c, wanted, "10"), "10")
	for rv := 11; rv < 20; rv++ {
		s := stamped(c, wanted, fmt.Sprint(rv))
		s.Labels["theirs"] = fmt.Sprint(rv)
		c.saw(place, s, s.ResourceVersion)
	}
	if r := c.Look(place).Copy; o.of(place) != 1 || r.ResourceVersion != "19" || !r.Right(owner, wanted.Stamp, "", 0) {
		t.Errorf("told %d times; %+v", o.of(place), r)
	}
}

func TestWhoMadeTheLastChange(t *testing.T) {
	edited := func(rv string, by ...metav1.ManagedFieldsEntry) func(*Cluster) *corev1.Secret {
		return func(c *Cluster) *corev1.Secret {
			s := stamped(c, wanted, rv)
			s.Data["a"] = []byte("edited")
			s.ManagedFields = by
			return s
		}
	}
	labelled := metav1.ManagedFieldsEntry{Manager: "labeller", Time: &metav1.Time{Time: time.Unix(3000, 0)}, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:theirs":{}}}}`)}
	for name, test := range map[string]struct {
		event  func(*Cluster) *corev1.Secret
		who    string
		second bool
	}{
		"another manager":                           {edited("11", changed(FieldManager, 1000), changed("kubectl-edit", 2000)), "kubectl-edit", false},
		"another manager, in the same second":       {edited("11", changed(FieldManager, 1000), changed("kubectl-edit", 1000)), "kubectl-edit", false},
		"another manager, long before us":           {edited("11", changed("kubectl-edit", 10), changed(FieldManager, 1000)), "", false},
		"our own name, later than we wrote":         {edited("11", changed(FieldManager, 2000)), FieldManager, true},
		"whoever only removes leaves no trace":      {edited("11", changed(FieldManager, 1000)), "", false},
		"another manager that touched nothing ours": {edited("11", changed(FieldManager, 1000), labelled), "", false},
		"our own name, in the second that we wrote, with a value of its own": {func(c *Cluster) *corev1.Secret {
			d := wanted
			d.Version = 7
			return stamped(c, d, "11")
		}, FieldManager, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, o := still(t)
			writing(c, "10")()
			c.saw(place, test.event(c), "11")
			r := c.Look(place).Copy
			if o.of(place) != 1 {
				t.Errorf("told %d times", o.of(place))
			}
			if test.who == "" && r.Manager != nil || test.who != "" && (r.Manager == nil || r.Manager.Name != test.who || r.Manager.Second != test.second) {
				t.Errorf("%+v", r.Manager)
			}
			if writing(c, "12")(); c.Look(place).Copy.Manager != nil {
				t.Error("it is still told after we wrote again")
			}
		})
	}
}

func TestAWriteThatWasNotAnsweredIsNoSecondServers(t *testing.T) {
	c, _ := still(t)
	c.saw(place, stamped(c, wanted, "5"), "5")
	d := wanted
	d.Version, d.Data = 2, map[string][]byte{"a": []byte("2")}
	f := c.takeOff(place, d.sends(c.hasher.Sum(c.Identity(), place, owner, d.Data)))
	c.land(place, f, false)
	late := stamped(c, d, "10")
	late.ManagedFields[0] = changed(FieldManager, 2000)
	c.saw(place, late, "10")
	if r := c.Look(place).Copy; r.Manager != nil || !r.Right(owner, d.Stamp, "", 0) {
		t.Errorf("%+v %+v", r, r.Manager)
	}
}

func TestWhatAdmissionMadeOfAWriteIsKnownInAnyOrder(t *testing.T) {
	alter := func(c *Cluster, rv string) *corev1.Secret {
		s := stamped(c, wanted, rv)
		s.Data = map[string][]byte{"injected": []byte("x"), "a": []byte("other")}
		return s
	}
	for name, order := range map[string]func(c *Cluster, answered func() *Copy){
		"the answer first": func(c *Cluster, answered func() *Copy) { answered(); c.saw(place, alter(c, "10"), "10") },
		"the echo first":   func(c *Cluster, answered func() *Copy) { c.saw(place, alter(c, "10"), "10"); answered() },
		"by a listing": func(c *Cluster, answered func() *Copy) {
			answered()
			c.listingBegins("")
			c.replaced("", map[Key]*Copy{place: c.listed(alter(c, "10"))}, "11")
		},
		"by a listing, before the answer": func(c *Cluster, answered func() *Copy) {
			c.listingBegins("")
			c.replaced("", map[Key]*Copy{place: c.listed(alter(c, "10"))}, "11")
			answered()
		},
		"its details forgotten": func(c *Cluster, answered func() *Copy) {
			answered()
			clear(c.expected)
			c.saw(place, alter(c, "10"), "10")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := still(t)
			c.listingBegins("")
			c.replaced("", map[Key]*Copy{}, "1")
			order(c, writing(c, "10"))
			r := c.Look(place).Copy
			if r.Altered == nil || r.Intact || r.Right(owner, wanted.Stamp, "", 0) {
				t.Fatalf("%+v", r)
			}
			if said := r.Altered.String(); name != "its details forgotten" && said != "changes the data keys a, adds a data key" {
				t.Errorf("%q", said)
			}
			// Somebody touches something else: it stays altered.
			s := alter(c, "20")
			s.Labels["theirs"] = "x"
			c.saw(place, s, "20")
			if c.Look(place).Copy.Altered == nil {
				t.Error("it is forgotten")
			}
			s = alter(c, "21")
			s.Data["a"] = []byte("edited")
			c.saw(place, s, "21")
			if c.Look(place).Copy.Altered != nil {
				t.Error("an edit is taken for admission's")
			}
		})
	}
}

func TestARecordHoldsNoData(t *testing.T) {
	c, _ := still(t)
	s := stamped(c, wanted, "1")
	r := c.observe(s)
	if !r.Intact || !r.Watched || !r.Labelled {
		t.Errorf("%+v", r)
	}
	copied := func(change func(*corev1.Secret)) *Copy {
		s := s.DeepCopy()
		change(s)
		if s.Labels == nil {
			return c.observe(s, owner, Owner{"acme", "other"})
		}
		return c.observe(s)
	}
	for name, r := range map[string]*Copy{
		"copied to another namespace":  copied(func(s *corev1.Secret) { s.Namespace = "other" }),
		"copied to another name":       copied(func(s *corev1.Secret) { s.Name = "other" }),
		"given to another tenant":      copied(func(s *corev1.Secret) { s.Labels[LabelTenant] = "other" }),
		"given to another definition":  copied(func(s *corev1.Secret) { s.Labels[LabelName] = "other" }),
		"with other data":              copied(func(s *corev1.Secret) { s.Data["a"] = []byte("2") }),
		"with one key more":            copied(func(s *corev1.Secret) { s.Data["b"] = nil }),
		"without its hash":             copied(func(s *corev1.Secret) { delete(s.Annotations, AnnotationHash) }),
		"without labels, and edited":   copied(func(s *corev1.Secret) { s.Labels = nil; s.Data["a"] = nil }),
		"without labels, and a stolen": copied(func(s *corev1.Secret) { s.Labels = nil; s.Name = "other" }),
	} {
		if r.Intact {
			t.Errorf("%s: the hash holds", name)
		}
	}
	if r := copied(func(s *corev1.Secret) { s.Labels = nil }); !r.Intact || r.Owner != owner || r.Watched {
		t.Errorf("one that lost its labels: %+v", r)
	}
	relabelled := s.DeepCopy()
	relabelled.Labels[LabelTenant] = "other"
	if r := c.observe(relabelled, owner); !r.Intact || r.Owner != owner || r.Labelled || !r.Watched {
		t.Errorf("one that bears another's label, and our hash: %v", r)
	}
	other := "another cluster"
	c.identity.Store(&other)
	if c.observe(s).Intact {
		t.Error("copied to another cluster: the hash holds")
	}
	if strings.Contains(fmt.Sprint(wanted), "[") || strings.Contains(fmt.Sprintf("%v", wanted), "map") {
		t.Errorf("%v", wanted)
	}
}

func TestAlterationInWords(t *testing.T) {
	a := &Alteration{Labels: []string{"x/y"}, Annotations: []string{"z"}, Changed: []string{"a", "b"}, Removed: []string{"c"}, Added: 2, Type: true}
	if said := a.String(); said != "changes the data keys a, b, removes the data keys c, adds data keys, changes the labels x/y, changes the annotations z, changes the type" {
		t.Error(said)
	}
	if said := new(Alteration).String(); said == "" {
		t.Error("it says nothing")
	}
}

// TestMemoryOfManyCopies holds what is kept of each copy to what 100,000 of them
// may cost.
func TestMemoryOfManyCopies(t *testing.T) {
	const count, most = 20_000, 700 // bytes of each
	c, _ := still(t)
	c.listingBegins("")
	c.replaced("", map[Key]*Copy{}, "1")
	before := liveBytes()
	for i := range count {
		d := wanted
		d.Key = Key{fmt.Sprintf("ns-%d", i%50), fmt.Sprintf("secret-%05d", i)}
		d.Owner.Name, d.Path = d.Key.Name, strings.Clone("production/services/"+d.Key.Name)
		d.Created = strings.Clone("2026-01-02T03:04:05.123456789Z")
		s := stamped(c, d, fmt.Sprint(123456+i))
		s.UID = "01234567-0123-0123-0123-012345678901"
		c.saw(d.Key, s, s.ResourceVersion)
	}
	each := (liveBytes() - before) / count
	t.Logf("%d bytes of each copy", each)
	if each > most {
		t.Errorf("%d bytes of each copy, of at most %d", each, most)
	}
	runtime.KeepAlive(c)
}

func liveBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
