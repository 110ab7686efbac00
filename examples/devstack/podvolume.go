package devstack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mounted is a volume's folder. What is of the cluster lies in it as kubelets lay it, so that all its files are renewed in one
// step, and nobody reads an old one beside a new one:
//
//	tls.crt -> ..data/tls.crt
//	..data  -> ..2026_11_26        renamed over the old link, which is the step
//	..2026_11_26/tls.crt
type mounted struct {
	folder string
	own    bool // what is in it is the pod's own
}

// make makes the folder, for the group of the pod.
func (m mounted) make(group int) error {
	mode := fs.FileMode(0o755)
	if m.own {
		mode = 0o770
	}
	return errors.Join(os.MkdirAll(m.folder, mode), os.Chown(m.folder, 0, group), os.Chmod(m.folder, mode|os.ModeSetgid))
}

// A podFile is one file of a volume.
type podFile struct {
	content string
	mode    fs.FileMode
}

// swap replaces what is in the folder, in one step, if it is something else.
func (m mounted) swap(files map[string]podFile, group int) error {
	if maps.Equal(files, m.read()) {
		return nil
	}
	old, _ := os.Readlink(filepath.Join(m.folder, "..data"))
	fresh, err := os.MkdirTemp(m.folder, "..2026_11_26_")
	if err != nil {
		return err
	}
	for name, file := range files {
		path := filepath.Join(fresh, name)
		if err := errors.Join(os.WriteFile(path, []byte(file.content), file.mode), os.Chown(path, 0, group), os.Chmod(path, file.mode)); err != nil {
			return err
		}
	}
	link := filepath.Join(m.folder, "..data_tmp")
	if err := errors.Join(os.Chmod(fresh, 0o755), os.Symlink(filepath.Base(fresh), link), os.Rename(link, filepath.Join(m.folder, "..data"))); err != nil {
		return err
	}
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(m.folder, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	entries, err := os.ReadDir(m.folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if _, stays := files[entry.Name()]; !stays && entry.Type() == fs.ModeSymlink && entry.Name() != "..data" {
			if err := os.Remove(filepath.Join(m.folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	if old == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(m.folder, old))
}

// read returns what is in the folder now; nothing if it was never filled.
func (m mounted) read() map[string]podFile {
	data := filepath.Join(m.folder, "..data")
	entries, err := os.ReadDir(data)
	if err != nil {
		return nil
	}
	files := map[string]podFile{}
	for _, entry := range entries {
		path := filepath.Join(data, entry.Name())
		content, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil {
			return nil
		}
		files[entry.Name()] = podFile{string(content), info.Mode().Perm()}
	}
	return files
}

// content is what a volume holds by what the cluster says. Tokens stay as they are unless others are wanted.
func (p *Pod) content(ctx context.Context, volume core.Volume, tokens bool) (map[string]podFile, error) {
	files := map[string]podFile{}
	mode := func(given *int32) fs.FileMode {
		if given == nil {
			return 0o644
		}
		return fs.FileMode(*given)
	}
	switch source := volume.VolumeSource; {
	case source.ConfigMap != nil:
		return files, p.addConfigMap(ctx, files, source.ConfigMap.Name, source.ConfigMap.Optional, mode(source.ConfigMap.DefaultMode))
	case source.Secret != nil:
		return files, p.addSecret(ctx, files, source.Secret.SecretName, source.Secret.Optional, mode(source.Secret.DefaultMode))
	case source.Projected != nil:
		for _, s := range source.Projected.Sources {
			if err := p.addProjection(ctx, files, p.volumes[volume.Name].read(), s, mode(source.Projected.DefaultMode), tokens); err != nil {
				return nil, err
			}
		}
		return files, nil
	}
	return nil, errors.New("nobody expected a volume of this kind")
}

func (p *Pod) addConfigMap(ctx context.Context, files map[string]podFile, name string, optional *bool, mode fs.FileMode) error {
	if name == "kube-root-ca.crt" { // which a controller makes in every namespace
		files["ca.crt"] = podFile{string(p.cluster.CA), mode}
		return nil
	}
	found, err := p.cluster.Admin.CoreV1().ConfigMaps(p.pod.Namespace).Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	if err != nil {
		return err
	}
	for key, value := range found.Data {
		files[key] = podFile{p.narrowed(value), mode}
	}
	return nil
}

func (p *Pod) addSecret(ctx context.Context, files map[string]podFile, name string, optional *bool, mode fs.FileMode) error {
	found, err := p.cluster.Admin.CoreV1().Secrets(p.pod.Namespace).Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	if err != nil {
		return err
	}
	for key, value := range found.Data {
		files[key] = podFile{string(value), mode}
	}
	return nil
}

func (p *Pod) addProjection(ctx context.Context, files, before map[string]podFile, source core.VolumeProjection, mode fs.FileMode, tokens bool) error {
	switch {
	case source.ServiceAccountToken != nil:
		if old, ok := before[source.ServiceAccountToken.Path]; ok && !tokens {
			files[source.ServiceAccountToken.Path] = old
			return nil
		}
		token, err := p.token(ctx, source.ServiceAccountToken)
		files[source.ServiceAccountToken.Path] = podFile{token, mode}
		return err
	case source.ConfigMap != nil:
		return p.addConfigMap(ctx, files, source.ConfigMap.Name, source.ConfigMap.Optional, mode)
	case source.Secret != nil:
		return p.addSecret(ctx, files, source.Secret.Name, source.Secret.Optional, mode)
	case source.DownwardAPI != nil:
		for _, item := range source.DownwardAPI.Items {
			value, ok := p.field(item.FieldRef.FieldPath)
			if !ok {
				return fmt.Errorf("no field %s is known", item.FieldRef.FieldPath)
			}
			files[item.Path] = podFile{value, mode}
		}
		return nil
	}
	return errors.New("nobody expected a projection of this kind")
}

// bound is the Secret that the pod's tokens of one generation are bound to: they count as long as it is there. Kubelets bind
// them to the pod, with which all of them would end at once.
func (p *Pod) bound(life int) string { return fmt.Sprintf("%s-tokens-%d", p.pod.Name, life) }

func (p *Pod) token(ctx context.Context, source *core.ServiceAccountTokenProjection) (string, error) {
	secrets := p.cluster.Admin.CoreV1().Secrets(p.pod.Namespace)
	_, err := secrets.Create(ctx, &core.Secret{ObjectMeta: meta.ObjectMeta{Name: p.bound(p.life)}}, meta.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	account := p.pod.Spec.ServiceAccountName
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef:    &authentication.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: p.bound(p.life)},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	answer, err := p.cluster.Admin.CoreV1().ServiceAccounts(p.pod.Namespace).CreateToken(ctx, account, request, meta.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("a token of service account %s: %w", account, err)
	}
	return answer.Status.Token, nil
}
