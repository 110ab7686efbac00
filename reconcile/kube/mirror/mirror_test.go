package mirror

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/kube/copies"
)

// still is what is known of a cluster that nobody is connected to.
func still() (*Mirror, *told) {
	o := &told{changed: make(map[copies.Key]int), namespaces: make(map[string]int)}
	return New(Config{
		Reader: func() copies.Reader {
			return copies.Reader{Hasher: copies.NewHasher([]byte("a key of the tests, not a secret")), Cluster: "an identity"}
		},
		Observer: o, Usable: func() bool { return true }, Moved: func() {},
	}), o
}

// told counts what it is told of.
type told struct {
	changed    map[copies.Key]int
	namespaces map[string]int
}

func (o *told) Changed(at copies.Key)       { o.changed[at]++ }
func (o *told) Everything(namespace string) { o.namespaces[namespace]++ }
func (o *told) of(at copies.Key) int        { return o.changed[at] }

var owner = copies.Owner{Tenant: "acme", Name: "db"}

var place = copies.Key{Namespace: "payments", Name: "db"}

// stamped is the Secret that a write makes, at a resource version.
func stamped(m *Mirror, d copies.Desired, rv string) *corev1.Secret {
	s := m.cfg.Reader().Sends(nil, d).Secret(maps.Clone(d.Data))
	s.UID, s.ResourceVersion = "uid", rv
	s.ManagedFields = []metav1.ManagedFieldsEntry{changed(copies.FieldManager, 1000)}
	return s
}

func changed(manager string, at int64) metav1.ManagedFieldsEntry {
	now := metav1.NewTime(time.Unix(at, 0))
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &now, FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:a":{}}}`)}
}

var wanted = copies.Desired{Key: place, Owner: owner, Stamp: copies.Stamp{Path: "production/db", Version: 1, Created: "2026-01-02T03:04:05Z"}, Data: map[string][]byte{"a": []byte("1")}}

// answered makes a write whose answer is still to come, and what takes it in.
func writing(m *Mirror, rv string) (answered func() *copies.Copy) {
	f := m.TakeOff(place, m.cfg.Reader().Sends(nil, wanted), m.Era())
	s := stamped(m, wanted, rv)
	return func() *copies.Copy { return m.Wrote(place, f, f.Sent.Answered(&s.ObjectMeta)) }
}

func TestTheEchoOfOurOwnWriteConfirmsItOnce(t *testing.T) {
	m, o := still()
	if r := writing(m, "10")(); !r.Unconfirmed || o.of(place) != 0 {
		t.Errorf("%v", r)
	}
	for range 2 {
		m.Saw(place, stamped(m, wanted, "10"), "10")
		r := m.Look(place).Copy
		if r.Unconfirmed || !r.Right(owner, wanted.Stamp, "", 0) || r.Altered != nil || r.Manager != nil || o.of(place) != 1 || len(m.expected) != 0 || len(m.flights) != 0 {
			t.Errorf("%v; told %d times", r, o.of(place))
		}
	}
}

func TestAnEchoBeforeTheAnswerIsOurOwnWriteAllTheSame(t *testing.T) {
	m, _ := still()
	m.Saw(place, stamped(m, wanted, "5"), "5")
	answered := writing(m, "10")
	echo := stamped(m, wanted, "10")
	echo.ManagedFields[0] = changed(copies.FieldManager, 2000)
	m.Saw(place, echo, "10")
	if r := answered(); r.Manager != nil || r.Altered != nil || r.Unconfirmed {
		t.Errorf("%+v", r)
	}
	if r := m.Look(place).Copy; r.Manager != nil || len(m.expected) != 0 {
		t.Errorf("%+v, %d expected", r, len(m.expected))
	}
}

func TestACopyDeletedBeforeTheAnswerCameIsNotTakenForThere(t *testing.T) {
	m, _ := still()
	answered := writing(m, "10")
	m.Saw(place, stamped(m, wanted, "10"), "10")
	m.Saw(place, nil, "11")
	answered()
	if seen := m.Look(place); seen.Copy != nil || !seen.Left {
		t.Errorf("%+v", seen)
	}
	// The deletion comes before anything else is told.
	answered = writing(m, "20")
	m.Saw(place, nil, "21")
	answered()
	if m.Look(place).Copy != nil {
		t.Error("it is taken for there")
	}
}

func TestAnEditBeforeTheAnswerCameIsWhatStands(t *testing.T) {
	m, _ := still()
	answered := writing(m, "10")
	edited := stamped(m, wanted, "12")
	edited.Data["a"] = []byte("edited")
	m.Saw(place, edited, "12")
	answered()
	if r := m.Look(place).Copy; r.Intact || r.ResourceVersion != "12" {
		t.Errorf("%+v", r)
	}
}

func TestAListingKeepsWhatWasWrittenSinceItBegan(t *testing.T) {
	for where, name := range map[string]string{"": "everywhere", "payments": "by namespace"} {
		t.Run(name, func(t *testing.T) {
			m, _ := still()
			m.listingBegins(where)
			writing(m, "20")()
			m.replaced(where, map[copies.Key]*copies.Copy{}, "15")
			if m.Look(place).Copy == nil {
				t.Error("what was written after the listing is forgotten")
			}
			m.listingBegins(where)
			m.replaced(where, map[copies.Key]*copies.Copy{}, "15") // another server, with other versions
			if seen := m.Look(place); seen.Copy != nil || !seen.Left {
				t.Error("what was written before the listing is kept")
			}
			// What was written while it was listed is newer than what it lists.
			m.listingBegins(where)
			old := m.cfg.Reader().Read(stamped(m, wanted, "30"))
			writing(m, "40")()
			m.replaced(where, map[copies.Key]*copies.Copy{place: old}, "35")
			if r := m.Look(place).Copy; r.ResourceVersion != "40" {
				t.Errorf("%+v", r)
			}
			// A server that was restored has older versions, which are what stands.
			m.listingBegins(where)
			m.replaced(where, map[copies.Key]*copies.Copy{place: old}, "30")
			if r := m.Look(place).Copy; r.ResourceVersion != "30" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAListingOfOneNamespaceLeavesTheOthersAlone(t *testing.T) {
	m, _ := still()
	writing(m, "10")()
	m.listingBegins("another")
	m.replaced("another", map[copies.Key]*copies.Copy{}, "20")
	if m.Look(place).Copy == nil {
		t.Error("it is gone")
	}
}

func TestHarmlessChangesTellNobody(t *testing.T) {
	m, o := still()
	m.Saw(place, stamped(m, wanted, "10"), "10")
	for rv := 11; rv < 20; rv++ {
		s := stamped(m, wanted, fmt.Sprint(rv))
		s.Labels["theirs"] = fmt.Sprint(rv)
		m.Saw(place, s, s.ResourceVersion)
	}
	if r := m.Look(place).Copy; o.of(place) != 1 || r.ResourceVersion != "19" || !r.Right(owner, wanted.Stamp, "", 0) {
		t.Errorf("told %d times; %+v", o.of(place), r)
	}
}

func TestWhoMadeTheLastChange(t *testing.T) {
	edited := func(rv string, by ...metav1.ManagedFieldsEntry) func(*Mirror) *corev1.Secret {
		return func(m *Mirror) *corev1.Secret {
			s := stamped(m, wanted, rv)
			s.Data["a"] = []byte("edited")
			s.ManagedFields = by
			return s
		}
	}
	labelled := metav1.ManagedFieldsEntry{Manager: "labeller", Time: &metav1.Time{Time: time.Unix(3000, 0)}, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:theirs":{}}}}`)}
	for name, test := range map[string]struct {
		event  func(*Mirror) *corev1.Secret
		who    string
		second bool
	}{
		"another manager":                           {edited("11", changed(copies.FieldManager, 1000), changed("kubectl-edit", 2000)), "kubectl-edit", false},
		"another manager, in the same second":       {edited("11", changed(copies.FieldManager, 1000), changed("kubectl-edit", 1000)), "kubectl-edit", false},
		"another manager, long before us":           {edited("11", changed("kubectl-edit", 10), changed(copies.FieldManager, 1000)), "", false},
		"our own name, later than we wrote":         {edited("11", changed(copies.FieldManager, 2000)), copies.FieldManager, true},
		"whoever only removes leaves no trace":      {edited("11", changed(copies.FieldManager, 1000)), "", false},
		"another manager that touched nothing ours": {edited("11", changed(copies.FieldManager, 1000), labelled), "", false},
		"our own name, in the second that we wrote, with a value of its own": {func(m *Mirror) *corev1.Secret {
			d := wanted
			d.Version = 7
			return stamped(m, d, "11")
		}, copies.FieldManager, true},
	} {
		t.Run(name, func(t *testing.T) {
			m, o := still()
			writing(m, "10")()
			m.Saw(place, test.event(m), "11")
			r := m.Look(place).Copy
			if o.of(place) != 1 {
				t.Errorf("told %d times", o.of(place))
			}
			if test.who == "" && r.Manager != nil || test.who != "" && (r.Manager == nil || r.Manager.Name != test.who || r.Manager.Second != test.second) {
				t.Errorf("%+v", r.Manager)
			}
			if writing(m, "12")(); m.Look(place).Copy.Manager != nil {
				t.Error("it is still told after we wrote again")
			}
		})
	}
}

func TestAWriteThatWasNotAnsweredIsNoSecondServers(t *testing.T) {
	m, _ := still()
	m.Saw(place, stamped(m, wanted, "5"), "5")
	d := wanted
	d.Version, d.Data = 2, map[string][]byte{"a": []byte("2")}
	f := m.TakeOff(place, m.cfg.Reader().Sends(nil, d), m.Era())
	m.Land(place, f, false)
	late := stamped(m, d, "10")
	late.ManagedFields[0] = changed(copies.FieldManager, 2000)
	m.Saw(place, late, "10")
	if r := m.Look(place).Copy; r.Manager != nil || !r.Right(owner, d.Stamp, "", 0) {
		t.Errorf("%+v %+v", r, r.Manager)
	}
}

func TestWhatAdmissionMadeOfAWriteIsKnownInAnyOrder(t *testing.T) {
	alter := func(m *Mirror, rv string) *corev1.Secret {
		s := stamped(m, wanted, rv)
		s.Data = map[string][]byte{"injected": []byte("x"), "a": []byte("other")}
		return s
	}
	for name, order := range map[string]func(m *Mirror, answered func() *copies.Copy){
		"the answer first": func(m *Mirror, answered func() *copies.Copy) { answered(); m.Saw(place, alter(m, "10"), "10") },
		"the echo first":   func(m *Mirror, answered func() *copies.Copy) { m.Saw(place, alter(m, "10"), "10"); answered() },
		"by a listing": func(m *Mirror, answered func() *copies.Copy) {
			answered()
			m.listingBegins("")
			m.replaced("", map[copies.Key]*copies.Copy{place: m.listed(alter(m, "10"))}, "11")
		},
		"by a listing, before the answer": func(m *Mirror, answered func() *copies.Copy) {
			m.listingBegins("")
			m.replaced("", map[copies.Key]*copies.Copy{place: m.listed(alter(m, "10"))}, "11")
			answered()
		},
		"its details forgotten": func(m *Mirror, answered func() *copies.Copy) {
			answered()
			clear(m.expected)
			m.Saw(place, alter(m, "10"), "10")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := still()
			m.listingBegins("")
			m.replaced("", map[copies.Key]*copies.Copy{}, "1")
			order(m, writing(m, "10"))
			r := m.Look(place).Copy
			if r.Altered == nil || r.Intact || r.Right(owner, wanted.Stamp, "", 0) {
				t.Fatalf("%+v", r)
			}
			if said := r.Altered.String(); name != "its details forgotten" && said != "changes the data keys a, adds a data key" {
				t.Errorf("%q", said)
			}
			// Somebody touches something else: it stays altered.
			s := alter(m, "20")
			s.Labels["theirs"] = "x"
			m.Saw(place, s, "20")
			if m.Look(place).Copy.Altered == nil {
				t.Error("it is forgotten")
			}
			s = alter(m, "21")
			s.Data["a"] = []byte("edited")
			m.Saw(place, s, "21")
			if m.Look(place).Copy.Altered != nil {
				t.Error("an edit is taken for admission's")
			}
		})
	}
}

// TestMemoryOfManyCopies holds what is kept of each copy to what 100,000 of them
// may cost.
func TestMemoryOfManyCopies(t *testing.T) {
	const count, most = 20_000, 700 // bytes of each
	m, _ := still()
	m.listingBegins("")
	m.replaced("", map[copies.Key]*copies.Copy{}, "1")
	before := liveBytes()
	for i := range count {
		d := wanted
		d.Key = copies.Key{Namespace: fmt.Sprintf("ns-%d", i%50), Name: fmt.Sprintf("secret-%05d", i)}
		d.Owner.Name, d.Path = d.Key.Name, strings.Clone("production/services/"+d.Key.Name)
		d.Created = strings.Clone("2026-01-02T03:04:05.123456789Z")
		s := stamped(m, d, fmt.Sprint(123456+i))
		s.UID = "01234567-0123-0123-0123-012345678901"
		m.Saw(d.Key, s, s.ResourceVersion)
	}
	each := (liveBytes() - before) / count
	t.Logf("%d bytes of each copy", each)
	if each > most {
		t.Errorf("%d bytes of each copy, of at most %d", each, most)
	}
	runtime.KeepAlive(m)
}

func liveBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestWhatIsGrantedByPatterns(t *testing.T) {
	m, _ := still()
	m.replacedNamespaces(map[string]namespace{"team-a": {state: NamespaceThere}, "team-b": {state: NamespaceTerminating}, "kube-system": {state: NamespaceThere}, "other": {state: NamespaceThere}}, 0)
	for _, test := range []struct{ patterns, want []string }{
		{[]string{"*"}, []string{"other", "team-a", "team-b"}},
		{[]string{"team-?", "late"}, []string{"late", "team-a", "team-b"}},
		{[]string{"kube-*", "kube-system"}, []string{"kube-system"}},
		{nil, []string{}},
	} {
		if got := m.Granted(test.patterns); !slices.Equal(got, test.want) {
			t.Errorf("%v: %v", test.patterns, got)
		}
	}
	m.replacedNamespaces(nil, 0)
	clear(m.scopes)
	m.Look(copies.Key{Namespace: "team-x", Name: "db"})
	m.Look(copies.Key{Namespace: "other", Name: "db"})
	if got := m.Granted([]string{"team-*"}); !slices.Equal(got, []string{"team-x"}) {
		t.Errorf("asked for: %v", got)
	}
}

// What is said to be marked is so after whatever came, went and changed.
func TestWhatIsMarkedIsKnown(t *testing.T) {
	m, _ := still()
	random := rand.New(rand.NewPCG(1, 2))
	anybody := func(string) bool { return true }
	for range 3000 {
		at := copies.Key{Namespace: fmt.Sprintf("namespace-%d", random.IntN(3)), Name: fmt.Sprintf("secret-%d", random.IntN(5))}
		switch random.IntN(20) {
		case 0:
			m.Leave(at.Namespace)
		case 1:
			m.KeepOnly([]string{at.Namespace})
		case 2, 3, 4, 5, 6:
			m.put(at, nil)
		default:
			m.put(at, &copies.Copy{Owner: owner, Deletes: random.IntN(2) == 0})
		}
		for _, in := range []string{"", at.Namespace} {
			want := make(map[copies.Key]bool)
			for name, ns := range m.namespaces {
				marked := 0
				for secret, c := range ns.copies {
					marked += marks(c)
					if c.Deletes && (in == "" || name == in) {
						want[copies.Key{Namespace: name, Name: secret}] = true
					}
				}
				if ns.marked != marked {
					t.Fatalf("%d are counted in %s, and not %d", ns.marked, name, marked)
				}
			}
			got := make(map[copies.Key]bool)
			for at := range m.Marked(in, anybody) {
				got[at] = true
			}
			if !maps.Equal(got, want) {
				t.Fatalf("%v are marked in %q, and not %v", want, in, got)
			}
		}
	}
	for range m.Marked("", func(string) bool { return false }) {
		t.Error("it is another tenant's")
	}
}

// BenchmarkMarked is what a look for copies that go with their target costs in a cluster of a million, of
// which none or all say so: it is made whenever tenants come.
func BenchmarkMarked(b *testing.B) {
	for what, deletes := range map[string]bool{"none of a million": false, "all of a million": true} {
		b.Run(what, func(b *testing.B) {
			m, _ := still()
			c, others := &copies.Copy{Owner: owner, Deletes: deletes}, func(tenant string) bool { return tenant != owner.Tenant }
			for i := range 1_000_000 {
				m.put(copies.Key{Namespace: fmt.Sprintf("namespace-%d", i%20_000), Name: fmt.Sprintf("secret-%d", i)}, c)
			}
			for b.Loop() {
				for range m.Marked("", others) {
				}
			}
		})
	}
}
