package client

import (
	"fmt"
	"testing"
)

func TestPagesAreSizedByWhatTheyBring(t *testing.T) {
	var p Pager
	p.limit = pageFirst
	var limits []int64
	for range 4 {
		p.Took(int(p.limit), int(p.limit)*1000)
		limits = append(limits, p.limit)
	}
	if fmt.Sprint(limits) != "[40 160 500 500]" {
		t.Errorf("small ones: %v", limits)
	}
	p.Took(500, 500<<20)
	if p.limit != 8 {
		t.Errorf("large ones: %d", p.limit)
	}
	p.Took(8, 8)
	p.Took(0, 0)
	if p.limit != 32 {
		t.Errorf("small ones again: %d", p.limit)
	}
	p.Took(1, 100<<20)
	if p.limit != 1 {
		t.Errorf("at least one: %d", p.limit)
	}
}
