//go:build linux

// Package cluster runs a real Kubernetes for tests: etcd and kube-apiserver, and
// where the machine allows it one node, with containerd and the kubelet. There is
// no scheduler, no controller and no network plugin: pods name their node and use
// its network. Everything listens on loopback and ends with the process.
package cluster

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Parts are the programs that a cluster is made of, by their paths.
type Parts struct {
	Etcd, APIServer, Keyring string
	// Kubelet and Containerd, a folder, are empty if there shall be no node.
	Kubelet, Containerd string
}

// PartsFromEnvironment reads what .ci/e2e sets.
func PartsFromEnvironment() Parts {
	return Parts{
		Etcd: os.Getenv("E2E_ETCD"), APIServer: os.Getenv("E2E_KUBE_APISERVER"), Keyring: os.Getenv("E2E_KEYRING"),
		Kubelet: os.Getenv("E2E_KUBELET"), Containerd: os.Getenv("E2E_CONTAINERD"),
	}
}

// Cluster is a running Kubernetes.
type Cluster struct {
	// URL of the API server, and the file with its certificate.
	URL, CAFile string
	// AdminToken may do everything, ReaderToken may read everything.
	AdminToken, ReaderToken string
	// Client is the administrator's.
	Client kubernetes.Interface

	folder    string
	etcd      *process
	apiserver *process
	node      *process
	keyring   *keyring
}

// Start runs etcd and the API server. The caller closes the cluster.
func Start(ctx context.Context, parts Parts) (c *Cluster, err error) {
	folder, err := os.MkdirTemp("", "e2e-cluster")
	if err != nil {
		return nil, err
	}
	c = &Cluster{folder: folder, AdminToken: rand.Text(), ReaderToken: rand.Text()}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	etcdURL, err := c.startEtcd(parts.Etcd)
	if err != nil {
		return nil, err
	}
	if err = c.startAPIServer(ctx, parts.APIServer, etcdURL); err != nil {
		return nil, err
	}
	c.keyring, err = startKeyring(folder, parts.Keyring)
	return c, err
}

// Close stops everything, in reverse order.
func (c *Cluster) Close() {
	c.stopNode()
	if c.keyring != nil {
		c.keyring.close()
	}
	c.apiserver.stop()
	c.etcd.stop()
	_ = os.RemoveAll(c.folder)
}

func (c *Cluster) startEtcd(program string) (string, error) {
	ports, err := freePorts(2)
	if err != nil {
		return "", err
	}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	c.etcd, err = start(c.folder, program, nil,
		"--data-dir", filepath.Join(c.folder, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	return client, err
}

func (c *Cluster) startAPIServer(ctx context.Context, program, etcdURL string) error {
	private, public, err := c.serviceAccountKeys()
	if err != nil {
		return err
	}
	tokens := filepath.Join(c.folder, "tokens.csv")
	users := fmt.Sprintf("%s,admin,admin,\"system:masters\"\n%s,reader,reader\n", c.AdminToken, c.ReaderToken)
	if err = os.WriteFile(tokens, []byte(users), 0o600); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	pki := filepath.Join(c.folder, "pki")
	c.URL, c.CAFile = "https://127.0.0.1:"+port, filepath.Join(pki, "apiserver.crt")
	c.apiserver, err = start(c.folder, program, nil,
		"--etcd-servers="+etcdURL, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+port,
		"--cert-dir="+pki, "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+public, "--service-account-signing-key-file="+private,
		"--service-cluster-ip-range=10.96.0.0/16", "--token-auth-file="+tokens, "--authorization-mode=RBAC",
		// No controller makes the service account that this would ask for.
		"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none")
	if err != nil {
		return err
	}
	return c.apiserver.until(ctx, "it is ready", func(ctx context.Context) bool {
		if c.Client == nil {
			c.Client, err = kubernetes.NewForConfig(&rest.Config{
				Host: c.URL, BearerToken: c.AdminToken, TLSClientConfig: rest.TLSClientConfig{CAFile: c.CAFile}, QPS: 1000, Burst: 1000,
			})
			if err != nil { // the certificate is not there yet
				c.Client = nil
				return false
			}
		}
		if _, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
			return false
		}
		return c.grantReader(ctx) == nil
	})
}

// grantReader lets the reader read.
func (c *Cluster) grantReader(ctx context.Context) error {
	_, err := c.Client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = c.Client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reader"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "reader"}},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (c *Cluster) serviceAccountKeys() (private, public string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", err
	}
	encoded, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	private, public = filepath.Join(c.folder, "service-account.key"), filepath.Join(c.folder, "service-account.pub")
	return private, public, errors.Join(
		os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600),
		os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: encoded}), 0o600))
}

// CreateNamespace makes a namespace. It is never deleted: no controller would end that.
func (c *Cluster) CreateNamespace(ctx context.Context, name string) error {
	_, err := c.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

// Version is what the API server says of itself.
func (c *Cluster) Version() string {
	version, err := c.Client.Discovery().ServerVersion()
	if err != nil {
		return err.Error()
	}
	return version.GitVersion
}
