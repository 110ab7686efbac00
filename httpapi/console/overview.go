package console

import (
	"cmp"
	"encoding/json"
	"hash/maphash"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// rowsOfPage is how many definitions are on one page of the overview: so many that a
// browser shows them at once, whatever the tenant has.
const rowsOfPage = 100

type overviewPage struct {
	Tenant   tenant
	Query    string
	Phase    string
	Counts   []phaseCount
	Rows     []row
	Found    int
	All      int
	From, To int
	Prev     string
	Next     string
	Done     string // what a form did just now
}

type phaseCount struct {
	Phase string
	Count int
	Link  string
	Here  bool
}

type row struct {
	*secret
	Ready        condition
	Synced       int
	LastSync     *time.Time
	VaultVersion string
	Last         *commit // nil: not known
}

// phases in the order of how much they want somebody.
var phases = []string{"Failed", "Degraded", "Pending", "Active"}

func (v *visit) overview(w http.ResponseWriter) error {
	all, err := v.list()
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	p := overviewPage{Query: query.Get("q"), Phase: query.Get("phase"), All: len(all), Done: query.Get("done")}
	if err := v.get("", &p.Tenant); err != nil {
		return err
	}
	if !slices.Contains(phases, p.Phase) {
		p.Phase = ""
	}
	found := search(all, p.Query)
	counts := map[string]int{}
	for _, s := range found {
		counts[s.Status.Phase]++
	}
	p.Counts = append(p.Counts, phaseCount{Count: len(found), Link: overviewLink(p.Query, "", 0), Here: p.Phase == ""})
	for _, phase := range phases {
		p.Counts = append(p.Counts, phaseCount{Phase: phase, Count: counts[phase], Link: overviewLink(p.Query, phase, 0), Here: p.Phase == phase})
	}
	if p.Phase != "" {
		found = slices.DeleteFunc(slices.Clone(found), func(s *secret) bool { return s.Status.Phase != p.Phase })
	}
	p.Found = len(found)
	number, _ := strconv.Atoi(query.Get("page"))
	number = max(0, min(number, (len(found)-1)/rowsOfPage))
	if number > 0 {
		p.Prev = overviewLink(p.Query, p.Phase, number-1)
	}
	begin := min(number*rowsOfPage, len(found))
	end := min(begin+rowsOfPage, len(found))
	if end < len(found) {
		p.Next = overviewLink(p.Query, p.Phase, number+1)
	}
	p.From, p.To = begin+1, end
	for _, s := range found[begin:end] {
		p.Rows = append(p.Rows, v.row(s))
	}
	return v.render(w, "overview", "Overview", p)
}

func overviewLink(query, phase string, number int) string {
	values := url.Values{}
	if query != "" {
		values.Set("q", query)
	}
	if phase != "" {
		values.Set("phase", phase)
	}
	if number > 0 {
		values.Set("page", strconv.Itoa(number))
	}
	if len(values) == 0 {
		return home
	}
	return home + "?" + values.Encode()
}

func (v *visit) row(s *secret) row {
	r := row{secret: s, Last: v.lastCommit(s)}
	if len(s.Status.Conditions) > 0 {
		r.Ready = s.Status.Conditions[0]
	}
	low, high := 0, 0
	for _, t := range s.Status.SyncStatuses {
		if t.State == "Synced" {
			r.Synced++
		}
		if t.LastSyncTime != nil && (r.LastSync == nil || t.LastSyncTime.After(*r.LastSync)) {
			r.LastSync = t.LastSyncTime
		}
		if t.VaultVersion != nil {
			if low == 0 {
				low = *t.VaultVersion
			}
			low, high = min(low, *t.VaultVersion), max(high, *t.VaultVersion)
		}
	}
	switch {
	case high == 0:
	case low == high:
		r.VaultVersion = strconv.Itoa(high)
	default:
		r.VaultVersion = strconv.Itoa(low) + "–" + strconv.Itoa(high)
	}
	return r
}

// search finds the definitions that have each word in their name, path, targets or
// reasons.
func search(all []*secret, query string) []*secret {
	words := strings.Fields(strings.ToLower(query))
	if len(words) == 0 {
		return all
	}
	var found []*secret
	for _, s := range all {
		if !slices.ContainsFunc(words, func(word string) bool { return !s.has(word) }) {
			found = append(found, s)
		}
	}
	return found
}

func (s *secret) has(word string) bool {
	if strings.Contains(s.Name, word) || strings.Contains(strings.ToLower(s.SecretPath), word) || strings.Contains(strings.ToLower(s.Status.Phase), word) {
		return true
	}
	for _, t := range s.Status.SyncStatuses {
		if strings.Contains(t.Cluster, word) || strings.Contains(t.Namespace, word) || strings.Contains(t.SecretName, word) || strings.Contains(strings.ToLower(t.Reason), word) {
			return true
		}
	}
	if slices.ContainsFunc(s.Paths(), func(path string) bool { return strings.Contains(strings.ToLower(path), word) }) {
		return true
	}
	for _, t := range s.Sync {
		if strings.Contains(t.Cluster, word) || strings.Contains(t.Namespace, word) {
			return true
		}
	}
	return false
}

// lists keeps, for each tenant, the list of definitions as it was last read, in the
// order of the overview. It is the answer's bytes that say whether it still is the
// one; reading them anew is most of what an overview of thousands costs.
type lists struct {
	mu       sync.Mutex
	byTenant map[string]parsedList
}

type parsedList struct {
	sum   uint64
	items []*secret // shared, never modified
}

var listSeed = maphash.MakeSeed()

const mostLists = 64

// list returns all definitions, problems first.
func (v *visit) list() ([]*secret, error) {
	a, err := v.do(Call{Method: http.MethodGet, Path: "/secrets"}, nil)
	if err != nil {
		return nil, err
	}
	sum := maphash.Bytes(listSeed, a.Body)
	l := &v.c.lists
	l.mu.Lock()
	known, ok := l.byTenant[v.who.Tenant]
	l.mu.Unlock()
	if ok && known.sum == sum {
		return known.items, nil
	}
	var got struct {
		Items []*secret `json:"items"`
	}
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return nil, err
	}
	rank := map[string]int{}
	for i, phase := range phases {
		rank[phase] = i
	}
	slices.SortStableFunc(got.Items, func(a, b *secret) int { return cmp.Compare(rank[a.Status.Phase], rank[b.Status.Phase]) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byTenant == nil || len(l.byTenant) >= mostLists {
		l.byTenant = map[string]parsedList{}
	}
	l.byTenant[v.who.Tenant] = parsedList{sum: sum, items: got.Items}
	return got.Items, nil
}

// commits keeps who made which commit, which never changes.
type commits struct {
	mu   sync.Mutex
	byID map[string]*commit // by tenant and SHA
}

const mostCommits = 20000

// lastCommit returns the commit that changed a definition last; nil where that can't
// be told now.
func (v *visit) lastCommit(s *secret) *commit {
	c := &v.c.commits
	id := v.who.Tenant + "/" + s.ResourceVersion
	c.mu.Lock()
	known := c.byID[id]
	c.mu.Unlock()
	if known != nil {
		return known
	}
	var h history
	if err := v.get(secretPath(s.Name)+"/history?limit=1", &h); err != nil || len(h.Items) == 0 || h.Items[0].SHA != s.ResourceVersion {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= mostCommits {
		c.byID = map[string]*commit{}
	}
	c.byID[id] = &h.Items[0]
	return &h.Items[0]
}
