package main

import (
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// list is what is in the image of one platform.
type list struct {
	Of      v1.Image
	Content []byte
}

// push pushes the image, and the lists of what is in it as artifacts that refer to it, so that who has the image finds them. The
// credentials are those that docker login or podman login left.
func (i *image) push(ctx context.Context, to string, stdout io.Writer) error {
	ref, err := name.ParseReference(to)
	if err != nil {
		return fmt.Errorf("-push: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(ref, i.index, options...); err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	for _, l := range i.lists {
		artifact, err := l.artifact()
		if err != nil {
			return err
		}
		digest, err := artifact.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(ref.Context().Digest(digest.String()), artifact, options...); err != nil {
			return fmt.Errorf("push what is in %s: %w", ref, err)
		}
	}
	digest, err := i.index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "pushed %s@%s\n", ref, digest)
	return err
}

// artifact is the list as a manifest whose subject is the image.
func (l list) artifact() (v1.Image, error) {
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbomType)
	artifact, err := mutate.AppendLayers(artifact, static.NewLayer(l.Content, sbomType))
	if err != nil {
		return nil, err
	}
	subject, err := partial.Descriptor(l.Of)
	if err != nil {
		return nil, err
	}
	return mutate.Subject(artifact, *subject).(v1.Image), nil
}
