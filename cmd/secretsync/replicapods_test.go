package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"secretsync/examples/devstack"
	"secretsync/httpapi/forward/forwardtest"
)

// replicaPods are the pods of what the chart makes of testdata/in-replicas.yaml in examples/deploy: replicas without a volume, each
// run as a kubelet would run it, under the one service account and with the rights of the chart alone.
type replicaPods struct {
	*fleet
	production   *devstack.Cluster // home, too
	made         *workload
	api, metrics int
	pods         []*replicaPod // those that run
	count        int           // of those that ever ran
}

type replicaPod struct {
	*process
	*devstack.Pod
	address string
}

const (
	replicasNamespace = "in-replicas"
	replicasAccount   = "system:serviceaccount:" + replicasNamespace + ":in-replicas-secretsync"
)

func newReplicaPods(t *testing.T, tenants int) *replicaPods {
	t.Helper()
	ctx, stack := t.Context(), devstack.Shared(t)
	r := &replicaPods{
		fleet:      &fleet{T: t, stack: stack, prefix: strings.ToLower(rand.Text()), git: t.TempDir(), home: replicasNamespace, namespace: "in-replicas-copies"},
		production: stack.Cluster("production"), api: devstack.FreePort(), metrics: devstack.FreePort(),
	}
	_, err := r.production.Admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: replicasNamespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	r.must(err)
	for _, cluster := range stack.Clusters() {
		r.must(cluster.CreateNamespace(ctx, r.namespace))
	}
	r.serveGit()
	r.fleet.settle(tenants)

	r.must(stack.Vault.ReadPolicy(ctx, r.prefix, "secret", r.prefix))
	r.must(stack.Vault.KubernetesAuth(ctx, r.production))
	_, err = stack.Vault.Client.Logical().WriteWithContext(ctx, "auth/production/role/secretsync-in-replicas", map[string]any{
		"bound_service_account_names": "in-replicas-secretsync", "bound_service_account_namespaces": replicasNamespace,
		"token_policies": []string{r.prefix}, "token_ttl": "1h", "audience": "vault",
	})
	r.must(err)
	authority, err := forwardtest.NewAuthority()
	r.must(err)
	files, err := authority.Issue(t.TempDir())
	r.must(err)
	putSecret(t, r.production, replicasNamespace, "secretsync-replicas", map[string][]byte{
		"tls.crt": []byte(readFile(t, files.Cert)), "tls.key": []byte(readFile(t, files.Key)), "ca.crt": []byte(readFile(t, files.CA)),
	})
	putSecret(t, r.production, replicasNamespace, "secretsync-clusters", map[string][]byte{"staging.kubeconfig": []byte(readFile(t, stack.Cluster("staging").Kubeconfig))})

	content := readFile(t, "../../examples/deploy/testdata/in-replicas.yaml")
	for from, to := range map[string]string{
		"VAULT": stack.Vault.Address, "      TENANTS:\n        repository: FORGE\n": r.configuration(r.forge),
		// Their network is the machine's, where these ports may be taken.
		"    listen: :8080\n": fmt.Sprintf("    listen: :%d\n", r.api), "metricsListen: :9090": fmt.Sprintf("metricsListen: :%d", r.metrics),
		"      listen: :8444\n": fmt.Sprintf("      listen: :%d\n", devstack.FreePort()),
	} {
		if strings.Count(content, from) != 1 {
			t.Fatalf("%q is not once in the release", from)
		}
		content = strings.ReplaceAll(content, from, to)
	}
	r.made = applyAll(t, r.production, content)
	return r
}

// configuration is the part of the configuration with the tenants.
func (r *replicaPods) configuration(git string) string {
	var text strings.Builder
	for _, t := range r.tenants {
		fmt.Fprintf(&text, `      %[1]s:
        repository: {url: %[2]s/%[1]s.git}
        vault: {prefix: %[3]s/%[1]s}
        clusters: {production: {namespaces: [%[4]s]}, staging: {namespaces: [%[4]s]}}
        keys: [{id: %[5]s, displayName: %[6]s, role: %[7]s, hash: "%[8]s"}]
`, t.Name, git, r.prefix, r.namespace, t.ID, t.DisplayName, t.Role, t.Hash)
	}
	return text.String()
}

// start starts so many pods more, as the Deployment's controller does, all at once.
func (r *replicaPods) start(pods int) {
	r.Helper()
	started := make(chan error)
	for range pods {
		r.count++
		name := fmt.Sprintf("%s-5f7c9d-p%d", r.made.name, r.count)
		pod := r.made.pod(name)
		pod.Status.PodIP = fmt.Sprintf("127.0.0.%d", 1+r.count)
		p := &replicaPod{
			process: &process{name: name, world: &world{url: fmt.Sprintf("http://%s:%d", pod.Status.PodIP, r.api)}},
			Pod:     newPod(r.T, r.production, pod), address: pod.Status.PodIP,
		}
		r.pods = append(r.pods, p)
		r.Cleanup(p.Stop)
		path := pod.Spec.Containers[0].ReadinessProbe.HTTPGet.Path
		go func() {
			started <- p.Start(r.Context(), func(ctx context.Context) error {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d%s", p.address, r.metrics, path), nil)
				if err != nil {
					return err
				}
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					return err
				}
				defer response.Body.Close()
				if response.StatusCode != http.StatusOK {
					return fmt.Errorf("the probe says %d", response.StatusCode)
				}
				return nil
			})
		}()
	}
	for range pods {
		r.must(<-started)
	}
}

// end ends the first of the pods by a signal, and waits for it as long as a kubelet would.
func (r *replicaPods) end(signal syscall.Signal) (log string) {
	r.Helper()
	p := r.pods[0]
	r.pods = r.pods[1:]
	grace := time.Duration(*r.made.template.Spec.TerminationGracePeriodSeconds) * time.Second
	r.must(p.Signal(signal))
	select {
	case <-p.Ended():
	case <-time.After(grace):
		r.Fatalf("%s runs on after its grace period of %v", p.name, grace)
	}
	if code := p.ExitCode(); signal == syscall.SIGTERM && code != 0 {
		r.Errorf("%s ended with %d", p.name, code)
	}
	return readFile(r.T, p.Log())
}

func (r *replicaPods) processes() (all []*process) {
	for _, p := range r.pods {
		all = append(all, p.process)
	}
	return all
}

// whole waits till the pods share all shards, answer for all tenants, and say that all is synced.
func (r *replicaPods) whole() {
	r.Helper()
	r.await("the pods share the shards", func() bool { return r.fleet.settled(r.processes()...) })
	r.answers(r.processes()...)
	for i := range r.tenants {
		for _, p := range r.processes() {
			var told string
			r.await(p.name+" says that all of "+r.tenants[i].Name+" is synced", func() bool {
				_, answer, err := r.call(p, &r.tenants[i], "GET", "/secrets", "", "look")
				told = answer
				return err == nil && strings.Count(told, `"phase":"Active"`) == strings.Count(told, `"secretPath"`) && strings.Contains(told, `"phase"`)
			})
		}
	}
}

// held checks that the Leases are those of the pods, and nowhere but at home.
func (r *replicaPods) held() {
	r.Helper()
	all, err := r.production.Admin.CoordinationV1().Leases("").List(r.Context(), metav1.ListOptions{LabelSelector: "secretsync.dev/lease"})
	r.must(err)
	var want, got []string
	for i := range 16 {
		want = append(want, fmt.Sprintf("secretsync-shard-%d", i))
	}
	for _, p := range r.pods {
		want = append(want, "secretsync-member-"+p.name)
	}
	for _, l := range all.Items {
		if l.Namespace != replicasNamespace {
			continue // of another test
		}
		holder, _, _ := strings.Cut(ptr.Deref(l.Spec.HolderIdentity, ""), "_")
		if !slices.ContainsFunc(r.pods, func(p *replicaPod) bool { return p.name == holder }) {
			r.Errorf("%s is held by %q", l.Name, holder)
		}
		got = append(got, l.Name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.Errorf("the Leases are %q; want %q", got, want)
	}
}

// A right is a verb on a resource in a namespace, by a role of the chart's.
type right struct{ namespace, resource, verb string }

// granted are the rights that the chart gives the account.
func (r *replicaPods) granted() map[right]bool {
	r.Helper()
	ctx, rbac, all := r.Context(), r.production.Admin.RbacV1(), make(map[right]bool)
	add := func(namespace string, rules []rbacv1.PolicyRule) {
		for _, rule := range rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					all[right{namespace, resource, verb}] = true
				}
			}
		}
	}
	for _, namespace := range []string{replicasNamespace, r.namespace} {
		bindings, err := rbac.RoleBindings(namespace).List(ctx, metav1.ListOptions{})
		r.must(err)
		for _, b := range bindings.Items {
			role, err := rbac.Roles(namespace).Get(ctx, b.RoleRef.Name, metav1.GetOptions{})
			r.must(err)
			add(namespace, role.Rules)
		}
	}
	bindings, err := rbac.ClusterRoleBindings().List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=in-replicas"})
	r.must(err)
	for _, b := range bindings.Items {
		role, err := rbac.ClusterRoles().Get(ctx, b.RoleRef.Name, metav1.GetOptions{})
		r.must(err)
		add("", role.Rules)
	}
	return all
}

// asked returns what the account asked for and got, and what it was refused.
func (r *replicaPods) asked() (used, refused map[right]bool) {
	r.Helper()
	events, err := r.production.Audited()
	r.must(err)
	used, refused = make(map[right]bool), make(map[right]bool)
	for _, e := range events {
		if e.User != replicasAccount || e.Resource == "" {
			continue
		}
		what := right{e.Namespace, e.Resource, e.Verb}
		if e.Resource == "namespaces" {
			what.namespace = "" // the audit log puts a namespace into itself
		}
		if e.Code == http.StatusForbidden {
			refused[what] = true
		} else {
			used[what] = true
		}
	}
	return used, refused
}

// Three replicas run as the chart makes them, under exactly its account: one ends and another comes, one is killed, one is all
// that is left; values change, keys are made, workloads restarted. Everything is synced all the time, the account needs each right
// that it has, and asks for none that it has not.
func TestReplicasInACluster(t *testing.T) {
	r := newReplicaPods(t, 6)
	var logs []string
	defer func() {
		for _, p := range r.pods {
			if log, _ := os.ReadFile(p.Log()); t.Failed() {
				t.Logf("the end of the log of %s:\n%s", p.name, log[max(0, len(log)-6000):])
			}
		}
	}()
	r.start(3)
	r.whole()
	r.held()

	// What needs the rights: keys, restarts, a Secret that somebody else has, and a copy that goes with its definition.
	first := &r.tenants[0]
	ask := func(want int, method, path, body string) string {
		t.Helper()
		through := r.pods[len(r.pods)-1].process
		status, answer, err := r.call(through, first, method, path, body, "needs")
		if err != nil || status != want {
			t.Fatalf("%s %s: %d %s %v", method, path, status, answer, err)
		}
		return answer
	}
	for _, holder := range []string{"Erin", "Femi"} {
		ask(201, "POST", "/apikeys", fmt.Sprintf(`{"displayName":%q,"role":"readonly"}`, holder))
	}
	r.workloads("web")
	putSecret(t, r.production, r.namespace, "taken", map[string][]byte{"a": []byte("somebody else's")})
	at := func(more string) string {
		return fmt.Sprintf(`"secretPath":"value","sync":[{"cluster":"production","namespace":%q%s}]`, r.namespace, more)
	}
	ask(201, "POST", "/secrets", `{"name":"web",`+at(`,"secretName":"t0000-web","restart":["deployment/web","statefulset/web","daemonset/web"]`)+`}`)
	ask(201, "POST", "/secrets", `{"name":"taken",`+at("")+`}`)
	ask(201, "POST", "/secrets", `{"name":"goes","deletionPolicy":"Delete",`+at(`,"secretName":"t0000-goes"`)+`}`)
	ask(200, "GET", "/secrets/goes?wait=Active&timeout=30s", "")
	ask(200, "GET", "/secrets/web?wait=Active&timeout=30s", "")
	ask(204, "DELETE", "/secrets/goes", "")
	r.await("the copy goes", func() bool {
		list, err := r.production.Admin.CoreV1().Secrets(r.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=t0000-goes"})
		return err == nil && len(list.Items) == 0
	})
	r.renewed(2)
	r.await("the workloads are restarted", r.restarted)
	ask(204, "DELETE", "/secrets/taken", "")

	if log := r.end(syscall.SIGTERM); !strings.Contains(log, "stopped") || strings.Contains(log, "given up all at once") {
		t.Errorf("it did not end in order:\n%s", log[max(0, len(log)-3000):])
	} else {
		logs = append(logs, log)
	}
	r.whole()
	r.held()
	r.start(1)
	r.whole()
	r.held()
	logs = append(logs, r.end(syscall.SIGKILL))
	r.whole()
	r.renewed(3)
	r.await("what the killed one left is swept", func() bool {
		list, err := r.production.Admin.CoordinationV1().Leases(replicasNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "secretsync.dev/lease=member"})
		return err == nil && len(list.Items) == len(r.pods)
	})
	r.held()
	for len(r.pods) > 0 {
		logs = append(logs, r.end(syscall.SIGTERM))
	}

	used, refused := r.asked()
	// Where namespaces can't be listed that is found out by asking, once for each way; nothing else is tried.
	maps.DeleteFunc(refused, func(what right, _ bool) bool {
		return what.namespace == "" && (what.verb == "list" || what.verb == "watch") && (what.resource == "namespaces" || what.resource == "secrets")
	})
	for what := range refused {
		t.Errorf("it was refused to %s %s in %q", what.verb, what.resource, what.namespace)
	}
	granted := r.granted()
	spared := map[right]string{
		{r.namespace, "events", "patch"}:      "an Event whose cause recurs is counted on the one that is there",
		{replicasNamespace, "leases", "list"}: "API servers before 1.34 can't stream a list as a watch",
	}
	for what := range granted {
		if !used[what] && spared[what] == "" {
			t.Errorf("the right to %s %s in %q is never used", what.verb, what.resource, what.namespace)
		}
	}
	for what := range used {
		if !granted[what] {
			t.Errorf("that it may %s %s in %q it has from elsewhere", what.verb, what.resource, what.namespace)
		}
	}
	for _, log := range logs {
		for line := range strings.Lines(log) {
			switch {
			case strings.Contains(line, `"msg":"request"`): // a probe is 503 at first
			case strings.Contains(strings.ToLower(line), "forbidden") || strings.Contains(line, `"level":"ERROR"`):
				t.Errorf("a log says %s", line)
			}
		}
	}
}

// renewed puts another edition of all values, and waits for each copy.
func (r *replicaPods) renewed(edition int) {
	r.Helper()
	for _, t := range r.tenants {
		r.must(r.putValue(t.Name, edition))
	}
	for _, cluster := range r.stack.Clusters() {
		r.await(fmt.Sprintf("all copies in %s are of edition %d", cluster.Name, edition), func() bool {
			copies, old := 0, 0
			r.eachCopy(cluster, func(s *corev1.Secret) {
				copies++
				if string(s.Data["edition"]) != fmt.Sprint(edition) {
					old++
				}
			})
			return copies >= len(r.tenants)*seeds && old == 0
		})
	}
}

// workloads makes one of each kind.
func (r *replicaPods) workloads(name string) {
	r.Helper()
	apps, meta := r.production.Admin.AppsV1(), metav1.ObjectMeta{Name: name}
	labels := map[string]string{"app": name}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}}}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	_, err := apps.Deployments(r.namespace).Create(r.Context(), &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}, metav1.CreateOptions{})
	r.must(err)
	_, err = apps.StatefulSets(r.namespace).Create(r.Context(), &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}}, metav1.CreateOptions{})
	r.must(err)
	_, err = apps.DaemonSets(r.namespace).Create(r.Context(), &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}, metav1.CreateOptions{})
	r.must(err)
}

// restarted reports whether the pods of all of them are to be started anew.
func (r *replicaPods) restarted() bool {
	apps := r.production.Admin.AppsV1()
	deployment, err := apps.Deployments(r.namespace).Get(r.Context(), "web", metav1.GetOptions{})
	r.must(err)
	set, err := apps.StatefulSets(r.namespace).Get(r.Context(), "web", metav1.GetOptions{})
	r.must(err)
	daemons, err := apps.DaemonSets(r.namespace).Get(r.Context(), "web", metav1.GetOptions{})
	r.must(err)
	return len(deployment.Spec.Template.Annotations) > 0 && len(set.Spec.Template.Annotations) > 0 && len(daemons.Spec.Template.Annotations) > 0
}
