package forge

import (
	"errors"
	"testing"
)

func TestOfTwoOpenPullRequestsOfABranchTheFirstIsIt(t *testing.T) {
	open := func(number int, branch string) Pull {
		return Pull{Number: number, State: Open, Base: "main", Head: Branch{Name: branch}}
	}
	fork, closed, elsewhere := open(1, "b"), open(2, "b"), open(3, "b")
	fork.Fork, closed.State, elsewhere.Base = true, Closed, "other"
	found, ok, err := find([]Pull{open(9, "b"), open(7, "b"), open(8, "b"), open(4, "other"), fork, closed, elsewhere}, "b", "main", nil)
	if found.Number != 7 || !ok || err != nil {
		t.Errorf("%+v %v %v", found, ok, err)
	}
	if _, ok, err = find([]Pull{open(4, "other")}, "b", "main", nil); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if _, ok, err = find(nil, "b", "main", errors.ErrUnsupported); ok || err == nil {
		t.Errorf("%v %v", ok, err)
	}
}
