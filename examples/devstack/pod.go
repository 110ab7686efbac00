package devstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Pod is run as a kubelet would run it, from what the API server holds: its one container is a process in a file system of
// its own, which is read-only but for its volumes, as the user that the pod names and without any power over the machine. Its
// volumes are laid, and renewed, as kubelets do: see mounted. It shares the machine's network, so its address is a loopback one,
// that of its status or else 127.0.0.1, and its ports are to be free ones. So that several pods can have one configuration, those
// that have an address of their own listen on that alone where a ConfigMap says ":8443": see narrowed.
//
//	NewPod ── Start ──▶ runs ── Signal, or its own end ──▶ ended ── Start ──▶ runs, with the same claims and other tokens
//	                     │ ▲
//	                     └─┘ Refresh: the volumes are as the cluster has them now
type Pod struct {
	cluster *Cluster
	pod     *core.Pod
	program string // in place of the image's
	dir     string
	volumes map[string]mounted
	process *Process
	life    int // how often it was started, or got other tokens
}

// automounted is where a pod finds the token of its service account.
const automounted = "/var/run/secrets/kubernetes.io/serviceaccount"

// NewPod prepares to run a pod of the cluster; program takes the place of what its image would run. The pod needs a namespace,
// a service account that exists, and a user in its security context.
func (c *Cluster) NewPod(pod *core.Pod, program string) (*Pod, error) {
	if len(pod.Spec.Containers) != 1 || pod.Spec.SecurityContext == nil || pod.Spec.SecurityContext.RunAsUser == nil {
		return nil, fmt.Errorf("devstack: pod %s has to have one container, and a user to run it as", pod.Name)
	}
	// The mounts below need a machine that lets its administrator make some.
	if os.Geteuid() != 0 {
		return nil, errors.ErrUnsupported
	}
	p := &Pod{cluster: c, pod: pod.DeepCopy(), program: program, dir: c.file("pod-" + pod.Namespace + "-" + pod.Name)}
	if automount := pod.Spec.AutomountServiceAccountToken; automount == nil || *automount {
		p.pod.Spec.Volumes = append(p.pod.Spec.Volumes, automountedVolume())
		p.pod.Spec.Containers[0].VolumeMounts = append(p.pod.Spec.Containers[0].VolumeMounts,
			core.VolumeMount{Name: "automounted", MountPath: automounted, ReadOnly: true})
	}
	return p, nil
}

// automountedVolume is what the API server's admission adds to pods of a whole cluster.
func automountedVolume() core.Volume {
	mode := int32(0o440)
	return core.Volume{Name: "automounted", VolumeSource: core.VolumeSource{Projected: &core.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []core.VolumeProjection{
			{ServiceAccountToken: &core.ServiceAccountTokenProjection{Path: "token"}},
			{ConfigMap: &core.ConfigMapProjection{LocalObjectReference: core.LocalObjectReference{Name: "kube-root-ca.crt"}}},
			{DownwardAPI: &core.DownwardAPIProjection{Items: []core.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &core.ObjectFieldSelector{FieldPath: "metadata.namespace"}},
			}}},
		},
	}}}
}

// Start makes the pod in the cluster, which judges it, lays its volumes and runs it. ready is nil once it answers.
func (p *Pod) Start(ctx context.Context, ready func(context.Context) error) error {
	now := int64(0)
	pods := p.cluster.Admin.CoreV1().Pods(p.pod.Namespace)
	if err := pods.Delete(ctx, p.pod.Name, meta.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	created := p.pod.DeepCopy()
	created.ResourceVersion, created.UID = "", ""
	created, err := pods.Create(ctx, created, meta.CreateOptions{})
	if err != nil {
		return fmt.Errorf("devstack: the cluster does not take the pod: %w", err)
	}
	p.pod.UID = created.UID
	p.life++
	if err := p.lay(ctx); err != nil {
		return fmt.Errorf("devstack: the volumes of pod %s: %w", p.pod.Name, err)
	}
	environment, err := p.environment()
	if err != nil {
		return err
	}
	p.process = p.cluster.stack.Program(filepath.Base(p.dir), p.argv(), ready)
	p.process.env = environment
	return p.process.Start(ctx)
}

// lay makes the volumes, as far as they aren't there yet, with fresh tokens.
func (p *Pod) lay(ctx context.Context) error {
	p.volumes = map[string]mounted{}
	for _, volume := range p.pod.Spec.Volumes {
		m := mounted{folder: filepath.Join(p.dir, "volumes", volume.Name)}
		switch {
		case volume.PersistentVolumeClaim != nil:
			m.folder = filepath.Join(p.cluster.stack.Dir, "claims", p.pod.Namespace+"-"+volume.PersistentVolumeClaim.ClaimName)
			m.own = true
		case volume.EmptyDir != nil:
			m.own = true
			if err := os.RemoveAll(m.folder); err != nil {
				return err
			}
		}
		if err := m.make(p.group()); err != nil {
			return err
		}
		p.volumes[volume.Name] = m
	}
	return p.refresh(ctx, true)
}

// Refresh has the volumes hold what the cluster holds now, as kubelets do every minute or so.
func (p *Pod) Refresh(ctx context.Context) error { return p.refresh(ctx, false) }

// RenewTokens puts other tokens in the place of those that the pod has; from its return on the old ones are refused.
func (p *Pod) RenewTokens(ctx context.Context) error {
	p.life++
	if err := p.refresh(ctx, true); err != nil {
		return err
	}
	now := int64(0)
	return p.cluster.Admin.CoreV1().Secrets(p.pod.Namespace).Delete(ctx, p.bound(p.life-1), meta.DeleteOptions{GracePeriodSeconds: &now})
}

func (p *Pod) refresh(ctx context.Context, tokens bool) error {
	for _, volume := range p.pod.Spec.Volumes {
		m := p.volumes[volume.Name]
		if m.own {
			continue
		}
		files, err := p.content(ctx, volume, tokens)
		if err != nil {
			return fmt.Errorf("%s: %w", volume.Name, err)
		}
		if err := m.swap(files, p.group()); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pod) group() int {
	if g := p.pod.Spec.SecurityContext.FSGroup; g != nil {
		return int(*g)
	}
	return 0
}

func (p *Pod) argv() []string {
	container := p.pod.Spec.Containers[0]
	root := filepath.Join(p.dir, "root")
	security := p.pod.Spec.SecurityContext
	var script strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&script, format+"\n", args...) }
	line("set -e")
	// What an image would bring: the programs of this machine, and ours.
	line("mkdir -p %[1]s && mount -t tmpfs -o mode=755 none %[1]s && cd %[1]s", root)
	line("mkdir -p usr proc dev etc && mount --rbind /proc proc && mount --rbind /dev dev && mount --bind -o ro /usr usr")
	line("for d in bin sbin lib lib64; do if [ -L /$d ]; then ln -s usr/$d $d; elif [ -d /$d ]; then mkdir $d && mount --bind -o ro /$d $d; fi; done")
	line("touch secretsync && mount --bind %q secretsync && mount -o remount,bind,ro secretsync", p.program)
	for _, m := range slices.SortedFunc(slices.Values(container.VolumeMounts), func(a, b core.VolumeMount) int { return strings.Compare(a.MountPath, b.MountPath) }) {
		at := strings.TrimPrefix(m.MountPath, "/")
		line("mkdir -p %[1]s && mount --bind %[2]q %[1]s", at, p.volumes[m.Name].folder)
		if m.ReadOnly {
			line("mount -o remount,bind,ro %s", at)
		}
	}
	if s := container.SecurityContext; s != nil && s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem {
		line("mount -o remount,ro %s", root)
	}
	line("exec chroot . setpriv --reuid %[1]d --regid %[2]d --groups %[2]d --no-new-privs --bounding-set=-all --inh-caps=-all /secretsync \"$@\"", *security.RunAsUser, p.group())
	return append([]string{"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script.String(), "sh"}, container.Args...)
}

// environment is what kubelets give a container.
func (p *Pod) environment() ([]string, error) {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(p.cluster.URL, "https://"))
	if err != nil {
		return nil, err
	}
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port, "HOSTNAME=" + p.pod.Name}
	for _, variable := range p.pod.Spec.Containers[0].Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil && from.FieldRef != nil {
			var ok bool
			if value, ok = p.field(from.FieldRef.FieldPath); !ok {
				return nil, fmt.Errorf("devstack: pod %s: no field %s is known", p.pod.Name, from.FieldRef.FieldPath)
			}
		}
		env = append(env, variable.Name+"="+value)
	}
	return env, nil
}

var anywhere = regexp.MustCompile(`(?i)(listen: )(:\d+)\b`)

// narrowed is a file of a ConfigMap as the pod gets it: who listens on all addresses there listens on the pod's, as they are all that
// a pod has in a cluster.
func (p *Pod) narrowed(file string) string {
	if p.pod.Status.PodIP == "" {
		return file
	}
	return anywhere.ReplaceAllString(file, "${1}"+p.pod.Status.PodIP+"${2}")
}

func (p *Pod) field(path string) (string, bool) {
	value, ok := map[string]string{
		"metadata.name": p.pod.Name, "metadata.namespace": p.pod.Namespace, "status.podIP": cmp.Or(p.pod.Status.PodIP, "127.0.0.1"),
	}[path]
	return value, ok
}

// Signal sends the container's process a signal.
func (p *Pod) Signal(signal syscall.Signal) error { return syscall.Kill(p.process.PID(), signal) }

// PID is the container's process id on this machine; 0 while it doesn't run.
func (p *Pod) PID() int { return p.process.PID() }

// Ended is closed when the container has ended.
func (p *Pod) Ended() <-chan struct{} { return p.process.Ended() }

// ExitCode is that of the container, once it has ended.
func (p *Pod) ExitCode() int { return p.process.cmd.ProcessState.ExitCode() }

// Stop kills the container.
func (p *Pod) Stop() { p.process.Stop() }

// Log is the path of the file with all that the container ever printed.
func (p *Pod) Log() string { return p.process.Log() }

// Folder is where a volume of the pod lies on this machine.
func (p *Pod) Folder(volume string) string { return p.volumes[volume].folder }
