// Package kubernetes pins the versions of kube-apiserver and etcd that the devstack builds, in a module of their own, so
// that their hundreds of dependencies stay out of secretsync's. Its go.mod is the one place where these versions stand.
package kubernetes

import (
	_ "go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
)
