//go:build linux

package cluster

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The node is a child of this process in namespaces of its own: containerd and the
// kubelet mount and write where they like, whatever their flags say, and when the
// child ends, the kernel ends every process of it, containers included.

// nodeName is the only node.
const nodeName = "lab"

// nodeVariable tells a child that it is the node, and where its orders are.
const nodeVariable = "E2E_NODE"

// ObstacleError says why this machine cannot be a node. Anything else that goes
// wrong with a node is a failure.
type ObstacleError struct{ Why string }

func (e *ObstacleError) Error() string { return e.Why }

// orders are what the child needs to know.
type orders struct {
	Folder, Containerd, Kubelet string
	// SandboxImage can be pulled without credentials.
	SandboxImage string
	APIServer    string
	CAFile       string
	Token        string
}

// BecomeNode never returns in a child that shall be the node. Whoever starts nodes
// calls it first of all.
func BecomeNode() {
	file := os.Getenv(nodeVariable)
	if file == "" {
		return
	}
	err := beNode(file)
	if obstacle, ok := errors.AsType[*ObstacleError](err); ok {
		fmt.Println("cannot:", obstacle.Why)
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
	}
	os.Exit(1)
}

// StartNode adds a node with containerd and a kubelet. The error is an
// *ObstacleError if this machine, or the parts, cannot be one.
func (c *Cluster) StartNode(ctx context.Context, parts Parts, sandboxImage string) error {
	switch {
	case parts.Kubelet == "" || parts.Containerd == "":
		return &ObstacleError{"kubelet or containerd are not there"}
	case os.Geteuid() != 0:
		return &ObstacleError{"containers need root"}
	}
	folder := filepath.Join(c.folder, "node")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	file := filepath.Join(folder, "orders.json")
	encoded, err := json.Marshal(orders{
		Folder: folder, Containerd: parts.Containerd, Kubelet: parts.Kubelet, SandboxImage: sandboxImage,
		APIServer: c.URL, CAFile: c.CAFile, Token: c.AdminToken,
	})
	if err != nil {
		return err
	}
	if err = os.WriteFile(file, encoded, 0o600); err != nil {
		return err
	}

	cmd := exec.CommandContext(context.Background(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), nodeVariable+"="+file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	// A pipe of our own: cmd's is closed as soon as the child has ended, read or not.
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout = in
	c.node, err = launch(folder, cmd)
	_ = in.Close()
	if errors.Is(err, syscall.EPERM) {
		return &ObstacleError{"no permission to make namespaces"}
	} else if err != nil {
		return err
	}
	first, _ := bufio.NewReader(out).ReadString('\n')
	if why, is := strings.CutPrefix(strings.TrimSpace(first), "cannot: "); is {
		return &ObstacleError{why}
	} else if first == "" {
		<-c.node.done
		return fmt.Errorf("the node did not start:\n%s", c.node.lastWords())
	}
	return c.node.until(ctx, "the node has registered", func(ctx context.Context) bool {
		_, err := c.Client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		return err == nil
	})
}

// stopNode deletes the pods first, so that their containers end and leave no
// control group behind.
func (c *Cluster) stopNode() {
	if c.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	c.deleteAllPods(ctx)
	c.node.stop()
	removeControlGroups()
}

// removeControlGroups removes what containerd leaves of ended containers. Only
// empty groups can be removed.
func removeControlGroups() {
	var found []string
	for _, root := range []string{"/sys/fs/cgroup/k8s.io", "/sys/fs/cgroup/*/k8s.io"} {
		matches, _ := filepath.Glob(root)
		found = append(found, matches...)
		matches, _ = filepath.Glob(root + "/*")
		found = append(found, matches...)
	}
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	for _, group := range found {
		_ = syscall.Rmdir(group)
	}
}

func beNode(file string) error {
	encoded, err := os.ReadFile(file) //nolint:gosec // our parent wrote it
	if err != nil {
		return err
	}
	var o orders
	if err = json.Unmarshal(encoded, &o); err != nil {
		return err
	}
	if err = furnish(o.Folder); err != nil {
		return err
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)

	socket := filepath.Join(o.Folder, "containerd.sock")
	containerd, err := o.startContainerd(socket)
	if err != nil {
		return err
	}
	err = containerd.until(context.Background(), "it listens", func(ctx context.Context) bool {
		connection, failed := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if failed == nil {
			_ = connection.Close()
		}
		return failed == nil
	})
	if err != nil {
		return err
	}
	kubelet, err := o.startKubelet(socket)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	select {
	case <-terminated:
		kubelet.stop()
		containerd.stop()
		return nil
	case <-kubelet.done:
		return fmt.Errorf("the kubelet has ended:\n%s", kubelet.lastWords())
	case <-containerd.done:
		return fmt.Errorf("containerd has ended:\n%s", containerd.lastWords())
	}
}

// furnish gives the node its own view of the file system, and tries what
// containers will need.
func furnish(folder string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return &ObstacleError{"no private mounts: " + err.Error()}
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return &ObstacleError{"no /proc of its own: " + err.Error()}
	}
	for _, path := range []string{"/run", "/var/lib", "/var/log", "/usr/libexec"} {
		if strings.HasPrefix(folder, path+"/") {
			return &ObstacleError{"the temporary folder lies in " + path + ", which the node needs for itself"}
		}
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "mode=755"); err != nil {
			return &ObstacleError{"no tmpfs: " + err.Error()}
		}
	}
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(folder, "overlay", name), 0o700); err != nil {
			return err
		}
	}
	overlay := filepath.Join(folder, "overlay")
	options := fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", overlay, overlay, overlay)
	if err := syscall.Mount("overlay", filepath.Join(overlay, "merged"), "overlay", 0, options); err != nil {
		return &ObstacleError{"no overlayfs: " + err.Error()}
	}
	_ = syscall.Unmount(filepath.Join(overlay, "merged"), 0)
	return tryControlGroups()
}

func tryControlGroups() error {
	roots, _ := filepath.Glob("/sys/fs/cgroup/memory")
	roots = append(roots, "/sys/fs/cgroup")
	probe := filepath.Join(roots[0], "e2e-probe-"+strings.ToLower(rand.Text()[:8]))
	if err := os.Mkdir(probe, 0o755); err != nil { //nolint:gosec // a control group, for a moment
		return &ObstacleError{"control groups are not writable: " + err.Error()}
	}
	return syscall.Rmdir(probe)
}

func (o orders) startContainerd(socket string) (*process, error) {
	config := filepath.Join(o.Folder, "containerd.toml")
	err := os.WriteFile(config, fmt.Appendf(nil, `version = 2
root = %[1]q
state = %[2]q
[grpc]
  address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = %[5]q
[plugins."io.containerd.internal.v1.opt"]
  path = %[6]q
`, o.path("containerd"), o.path("containerd-state"), socket, o.SandboxImage, o.path("cni"), o.path("opt")), 0o600)
	if err != nil {
		return nil, err
	}
	path := "PATH=" + o.Containerd + ":" + os.Getenv("PATH")
	return start(o.Folder, filepath.Join(o.Containerd, "containerd"), []string{path}, "--config", config)
}

func (o orders) startKubelet(socket string) (*process, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	config, access := o.path("kubelet.yaml"), o.path("kubeconfig.yaml")
	err = errors.Join(os.WriteFile(config, fmt.Appendf(nil, `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
address: 127.0.0.1
port: %s
healthzPort: %s
readOnlyPort: 0
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: "unix://%s"
podLogsDir: %q
resolvConf: ""
localStorageCapacityIsolation: false
evictionHard: {memory.available: "50Mi"}
syncFrequency: 5s
`, ports[0], ports[1], socket, o.path("podlogs")), 0o600),
		os.WriteFile(access, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: kubelet}}]
clusters: [{name: lab, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: kubelet, user: {token: %q}}]
`, o.APIServer, o.CAFile, o.Token), 0o600))
	if err != nil {
		return nil, err
	}
	return start(o.Folder, o.Kubelet, nil, "--config="+config, "--kubeconfig="+access,
		"--root-dir="+o.path("kubelet"), "--cert-dir="+o.path("kubelet-pki"), "--hostname-override="+nodeName)
}

func (o orders) path(name string) string { return filepath.Join(o.Folder, name) }
