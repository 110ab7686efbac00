// Package devstack runs the real parts that secretsync works with, on a machine that has nothing but Go: an etcd, one
// kube-apiserver for each cluster, and a Vault. Tests, the demonstration and the benchmarks use it.
//
// A test that may share its stack with the others of its package, each in namespaces and mounts of its own:
//
//	stack := devstack.Shared(t)
//	production := stack.Cluster("production")
//	production.CreateNamespace(ctx, "payments")
//	stack.Vault.PutSecret(ctx, "secret", "acme/db-password", map[string]any{"password": "s3cret"})
//	secret, err := production.Admin.CoreV1().Secrets("payments").Get(ctx, "db-password", metav1.GetOptions{})
//
// A test that stops, seals or breaks parts starts its own: devstack.StartT(t, devstack.Options{}). Anything else calls Start
// and Close, or Prepare, Build and Start where something is to be seen before all parts are there.
//
// What is there:
//   - A Cluster has its own certificate authority, service account key and keys in the etcd that all share. Admin may do
//     everything; Config and Kubeconfig are the user secretsync with the rights of examples/rbac.yaml and no others. Stop
//     and Start keep the data, StartEmpty loses them. There is no controller manager: a deleted namespace stays Terminating
//     until DeleteNamespace finishes it, and nothing makes default service accounts.
//   - Vault has a KV v2 mount "secret" and AppRole; Mount adds mounts, KubernetesAuth has it accept the service accounts of a
//     cluster. Data are kept in files, so Stop and Start keep them; Seal and Unseal are what they are.
//   - StartGitea and SharedGitea add a Gitea, a whole forge with people, pull requests and webhooks.
//   - Program runs a program of the caller's beside them, under the same care.
//   - Vault.Proxy and Cluster.Proxy put a Proxy in front, which fails on demand: see Fault.
//
// Nothing is left running when a stack's process ends, however it ends: each program runs under a keeper that watches a
// pipe from this process (see keeper). Working folders go with it.
//
// The programs are built from pinned modules on first use, see Build, Vault without what a Vault on one machine never calls
// (vault/without/README.md), etcd, kube-apiserver and Gitea whole; `go run ./examples/devstack/build` does it ahead of
// time. Everything listens on the loopback address; etcd and Vault without TLS, so it is no place for real secrets.
package devstack
