package vault

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// One value that was held for long kept all in memory that came after it: they stood
// behind it in a list, though nobody held them any more.
func TestAValueIsGoneAsSoonAsNobodyHoldsIt(t *testing.T) {
	b := New(access.Config{}, Options{})
	now := time.Now()
	read := func() (*Source, weak.Pointer[kv.Value]) {
		s, v := &Source{b: b}, &kv.Value{Size: 1, Data: map[string][]byte{}}
		s.demand().held = 1
		b.values.keep(s, v, now)
		return s, weak.Make(v)
	}
	_, long := read()
	var others []weak.Pointer[kv.Value]
	for range 1000 {
		s, v := read()
		(&Request{s: s}).Release()
		others = append(others, v)
	}
	runtime.GC()
	left := 0
	for _, v := range others {
		if v.Value() != nil {
			left++
		}
	}
	if left > 0 {
		t.Errorf("%d values are in memory that nobody holds", left)
	}
	if long.Value() == nil || b.values.bytes != 1 {
		t.Errorf("of the one that is held: %v, %d bytes", long.Value(), b.values.bytes)
	}
	if n := b.values.held.len(); n > 100 {
		t.Errorf("%d are listed for one", n)
	}
}
