package devstack

import (
	"context"
	"os"
	"sync"
)

// TB is what of testing.TB is needed here; programs that are no test use this package as well.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// StartT starts a stack of the test's own and closes it after the test.
func StartT(t TB, options Options) *Stack {
	t.Helper()
	if options.Progress == nil {
		options.Progress = os.Stderr
	}
	stack, err := Start(context.Background(), options)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { stack.Close() })
	return stack
}

var shared = sync.OnceValues(func() (*Stack, error) {
	return Start(context.Background(), Options{Audit: true, Progress: os.Stderr})
})

// Shared returns the stack that all tests of the process share, and starts it for the first of them: two clusters and a
// Vault, all audited. Use namespaces and mounts of your own and don't stop anything. It ends with the process.
func Shared(t TB) *Stack {
	t.Helper()
	stack, err := shared()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return stack
}
