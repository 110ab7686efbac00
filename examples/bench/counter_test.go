package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"secretsync/examples/devstack"
)

// API servers end each watch after a few minutes. What is counted then was
// there all the same.
func TestACounterGoesOnWhenItsWatchEnds(t *testing.T) {
	stack := devstack.Shared(t)
	cluster := stack.Cluster("production")
	proxy, err := cluster.Proxy()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	prefix := fmt.Sprintf("count%d-", os.Getpid())
	namespace := prefix + "0"
	if err := cluster.CreateNamespace(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	secrets := cluster.Admin.CoreV1().Secrets(namespace)
	create := func(name string) {
		t.Helper()
		if _, err := secrets.Create(ctx, &core.Secret{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create("before")
	c, err := newCounter(ctx, prefix, map[string]*rest.Config{"production": proxy.Config})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	until := func(count int) {
		t.Helper()
		if err := c.until(ctx, count); err != nil {
			t.Fatal(err)
		}
	}
	until(1)
	create("watched")
	until(2)
	proxy.Disconnect()
	create("cut-off")
	if err := secrets.Delete(ctx, "before", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Delete(ctx, "watched", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(1)
	create("afterwards")
	until(2)
}
