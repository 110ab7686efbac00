package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// ClusterReader reads Secrets and namespaces one by one. It is a [Cluster].
type ClusterReader struct{ client *rest.RESTClient }

// NewClusterReader prepares to read.
func NewClusterReader(config *rest.Config) (*ClusterReader, error) {
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	// It knows no type: answers are decoded here, errors by their status.
	config.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	config.UserAgent = "secretsync-verify"
	config.WarningHandler = rest.NoWarnings{}
	config.QPS = -1 // the number of readers is the limit
	config.Timeout = requestTime
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	return &ClusterReader{client}, nil
}

// Secret implements [Cluster].
func (c *ClusterReader) Secret(ctx context.Context, namespace, name string) (*Secret, error) {
	var s corev1.Secret
	if found, err := c.get(ctx, c.client.Get().Namespace(namespace).Resource("secrets").Name(name), &s); !found || err != nil {
		return nil, err
	}
	return &Secret{Type: string(s.Type), Owned: len(s.OwnerReferences) > 0, Immutable: s.Immutable != nil && *s.Immutable, Labels: s.Labels, Annotations: s.Annotations, Data: Digest(s.Data)}, nil
}

// Namespace implements [Cluster].
func (c *ClusterReader) Namespace(ctx context.Context, name string) (Namespace, error) {
	var n corev1.Namespace
	if found, err := c.get(ctx, c.client.Get().Resource("namespaces").Name(name), &n); !found || err != nil {
		return Namespace{}, err
	}
	return Namespace{Exists: true, Terminating: n.DeletionTimestamp != nil, UID: string(n.UID), Labels: n.Labels}, nil
}

// Namespaces implements [Cluster].
func (c *ClusterReader) Namespaces(ctx context.Context) (map[string]Namespace, error) {
	all := make(map[string]Namespace)
	for next := ""; ; {
		var page corev1.NamespaceList
		found, err := c.get(ctx, c.client.Get().Resource("namespaces").Param("limit", "500").Param("continue", next), &page)
		if err != nil || !found {
			return nil, err
		}
		for i := range page.Items {
			n := &page.Items[i]
			all[n.Name] = Namespace{Exists: true, Terminating: n.DeletionTimestamp != nil, UID: string(n.UID), Labels: n.Labels}
		}
		if next = page.Continue; next == "" {
			return all, nil
		}
	}
}

func (c *ClusterReader) get(ctx context.Context, r *rest.Request, into any) (found bool, err error) {
	body, err := r.DoRaw(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		if status := apierrors.APIStatus(nil); errors.As(err, &status) && status.Status().Code > 0 {
			return false, fmt.Errorf("the cluster answers %d", status.Status().Code)
		}
		return false, err
	}
	if json.Unmarshal(body, into) != nil {
		return false, errors.New("the cluster's answer is not understood") // the error itself may quote it
	}
	return true, nil
}
