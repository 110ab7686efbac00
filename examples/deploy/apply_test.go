package deploy

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"secretsync/examples/devstack"
)

// A cluster is a real API server, to which objects are applied as kubectl would.
type cluster struct {
	t      *testing.T
	real   *devstack.Cluster
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	stack := devstack.StartT(t, devstack.Options{Clusters: []string{"home"}, NoVault: true})
	c := &cluster{t: t, real: stack.Cluster("home")}
	c.connect()
	return c
}

func (c *cluster) connect() {
	c.t.Helper()
	config := rest.CopyConfig(c.real.AdminConfig)
	config.QPS = -1
	var err error
	c.client, err = dynamic.NewForConfig(config)
	c.must(err)
	found, err := discovery.NewDiscoveryClientForConfig(config)
	c.must(err)
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))
}

func (c *cluster) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == "namespace" {
		return c.client.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
	}
	return c.client.Resource(mapping.Resource), nil
}

// apply applies an object with every field judged: one that the API server doesn't know is an error.
func (c *cluster) apply(o *unstructured.Unstructured) error {
	resource, err := c.resource(o)
	if err != nil {
		return err
	}
	content, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	force := true
	_, err = resource.Patch(context.Background(), o.GetName(), "application/apply-patch+yaml", content,
		meta.PatchOptions{FieldManager: "test", Force: &force, FieldValidation: meta.FieldValidationStrict})
	return err
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// clear deletes what was applied.
func (c *cluster) clear(objects []*unstructured.Unstructured) {
	c.t.Helper()
	now := int64(0)
	for _, o := range objects {
		if resource, err := c.resource(o); err == nil && o.GetKind() != "Namespace" {
			if err := resource.Delete(context.Background(), o.GetName(), meta.DeleteOptions{GracePeriodSeconds: &now}); !apierrors.IsNotFound(err) {
				c.must(err)
			}
		}
	}
}

// podOf is the pod that a controller would make of a workload; none runs here, and admission judges pods.
func podOf(t *testing.T, workload *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	template, ok, err := unstructured.NestedMap(workload.Object, "spec", "template")
	if !ok || err != nil {
		t.Fatalf("%s has no template: %v", keyOf(workload), err)
	}
	pod := &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetName(workload.GetName() + "-0")
	pod.SetNamespace(workload.GetNamespace())
	claims, _, _ := unstructured.NestedSlice(workload.Object, "spec", "volumeClaimTemplates")
	volumes, _, _ := unstructured.NestedSlice(template, "spec", "volumes")
	for _, claim := range claims {
		name, _, _ := unstructured.NestedString(claim.(map[string]any), "metadata", "name")
		volumes = append(volumes, map[string]any{
			"name": name, "persistentVolumeClaim": map[string]any{"claimName": name + "-" + pod.GetName()},
		})
	}
	if err := unstructured.SetNestedSlice(template, volumes, "spec", "volumes"); err != nil {
		t.Fatal(err)
	}
	return pod
}

// Everything that Helm or Kustomize makes is taken by a real API server, with every field judged, in a namespace at the
// restricted Pod Security level, which judges the pods.
func TestAnAPIServerTakesEverything(t *testing.T) {
	c := startCluster(t)
	for _, o := range build(t, "kustomize") {
		if o.GetKind() == "Namespace" {
			c.must(c.apply(o))
		}
	}
	c.must(c.real.CreateNamespace(t.Context(), "payments", "shop"))
	c.define()
	everything := map[string][]*unstructured.Unstructured{}
	for name, values := range valueSets {
		everything["Helm: "+name] = objectsOf(t, mustRender(t, "secretsync", values))
	}
	for folder := range parts {
		everything["Kustomize: "+folder] = build(t, folder)
	}
	for _, name := range slices.Sorted(maps.Keys(everything)) {
		t.Run(name, func(t *testing.T) {
			objects := everything[name]
			for _, o := range objects {
				if err := c.apply(o); err != nil {
					t.Errorf("%s: %v", keyOf(o), err)
				}
				if kind := o.GetKind(); kind == "Deployment" || kind == "StatefulSet" {
					pod := podOf(t, o)
					objects = append(objects, pod)
					if err := c.apply(pod); err != nil {
						t.Errorf("%s: %v", keyOf(pod), err)
					}
				}
			}
			c.clear(objects)
		})
	}
	t.Run("a pod with more rights is refused", func(t *testing.T) {
		for name, weaken := range map[string]func(security map[string]any){
			"root":       func(security map[string]any) { security["runAsUser"] = int64(0) },
			"escalation": func(security map[string]any) { security["allowPrivilegeEscalation"] = true },
			"powers":     func(security map[string]any) { delete(security, "capabilities") },
			"no seccomp": func(security map[string]any) { security["seccompProfile"] = map[string]any{"type": "Unconfined"} },
		} {
			pod := podOf(t, find(t, objectsOf(t, mustRender(t, "secretsync", "")), "StatefulSet", "secretsync"))
			containers, _, _ := unstructured.NestedSlice(pod.Object, "spec", "containers")
			weaken(containers[0].(map[string]any)["securityContext"].(map[string]any))
			c.must(unstructured.SetNestedSlice(pod.Object, containers, "spec", "containers"))
			if err := c.apply(pod); err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted:latest"`) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// define makes the kinds of the Prometheus operator known to the API server; monitoring_test.go holds the objects to the
// operator's own types.
func (c *cluster) define() {
	c.t.Helper()
	content, err := os.ReadFile("testdata/kinds.yaml")
	c.must(err)
	for _, kind := range parse(c.t, string(content)) {
		c.must(c.apply(kind))
	}
	for end := time.Now().Add(time.Minute); ; {
		c.mapper.Reset()
		_, err := c.mapper.RESTMapping(parse(c.t, "{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule}")[0].GroupVersionKind().GroupKind())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
