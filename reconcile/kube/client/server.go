package client

import (
	"context"
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
)

// probeLimit bounds small questions about the server itself: one that is well
// has told within a few seconds.
const probeLimit = 5 * time.Second

// Version is what the server says of its version, such as v1.37.2.
func (k *Client) Version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	body, err := k.rest.Get().AbsPath("/version").SetHeader("Accept", "application/json").MaxRetries(0).DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var info apiversion.Info
	if err := json.Unmarshal(body, &info); err != nil {
		return "", err
	}
	return info.GitVersion, nil
}

// System returns the UID of the namespace by which a cluster is known.
func (k *Client) System(ctx context.Context) (types.UID, error) {
	var ns metav1.PartialObjectMetadata
	err := k.ask(ctx, "get", func() *rest.Request {
		return k.rest.Get().Resource("namespaces").Name(metav1.NamespaceSystem).SetHeader("Accept", metadataOnly)
	}, &ns)
	return ns.UID, err
}

// Ready reports whether the server says that it is ready. Nearly everybody may ask.
func (k *Client) Ready(ctx context.Context) bool {
	return k.ask(ctx, "get", func() *rest.Request { return k.rest.Get().AbsPath("/readyz") }, nil) == nil
}

// Probe reads something small through all of the server, its storage included,
// with the rights that are needed anyway: a listing of at most the one Secret of
// a name that nobody has, which the server looks up and does not search for. It
// returns the resource version that the server is at.
func (k *Client) Probe(ctx context.Context, namespace string) (string, error) {
	var list metav1.PartialObjectMetadataList
	err := k.ask(ctx, "list", func() *rest.Request {
		return k.rest.Get().Namespace(namespace).Resource("secrets").SetHeader("Accept", metadataOnlyList).
			VersionedParams(&metav1.ListOptions{FieldSelector: "metadata.name=secretsync.probe", Limit: 1}, parameterCodec)
	}, &list)
	return list.ResourceVersion, err
}

const metadataOnlyList = protobuf + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1," + "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
