package kept

import (
	"fmt"
	"testing"
	"time"

	"secretsync/gitstore"
)

func TestKeptAnswersAreBounded(t *testing.T) {
	var rs Answers
	body := make([]byte, 10<<20)
	for i := range 20 {
		tenant, err := gitstore.ParseTenantName(fmt.Sprintf("t%d", i))
		if err != nil {
			t.Fatal(err)
		}
		about := Subject{Tenant: tenant}
		rs.Put(about, New(nil, 1, time.Time{}, body))
		rs.Put(about, New(nil, 2, time.Time{}, body))
		if n := rs.bytes.Load(); n > maxKept {
			t.Fatalf("%d bytes are kept", n)
		}
	}
	kept := int64(0)
	rs.bySubject.Range(func(_, v any) bool { kept += int64(len(v.(*Answer).Body)); return true })
	if kept != rs.bytes.Load() {
		t.Errorf("%d bytes are kept, %d counted", kept, rs.bytes.Load())
	}
}
