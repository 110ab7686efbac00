package gitstoretest_test

import (
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/gitstoretest"
)

func TestWhatIsPushedAndWrittenStandsInOneRepository(t *testing.T) {
	repo := gitstoretest.MustOpen(t, gitstore.Config{}).MustRepository("acme")
	text := "name: pushed\nsecretPath: a\n"
	if n := len(repo.MustPush(map[string]*string{"secrets/pushed.yaml": &text}).Entries()); n != 1 {
		t.Errorf("%d definitions after a push", n)
	}
	name, err := definition.ParseName("written")
	if err != nil {
		t.Fatal(err)
	}
	path, err := definition.ParseSecretPath("b")
	if err != nil {
		t.Fatal(err)
	}
	repo.MustCreate(definition.Definition{Name: name, SecretPath: path})
	if n := len(repo.MustPush(map[string]*string{"secrets/pushed.yaml": nil}).Entries()); n != 1 {
		t.Errorf("%d definitions after one was removed", n)
	}
	if log := repo.MustGit("log", "--format=%s", "main"); log != "a push\nAdd written\na push" {
		t.Errorf("log:\n%s", log)
	}
}
