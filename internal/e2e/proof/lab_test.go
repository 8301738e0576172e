//go:build linux

package proof_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/cluster"
	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/registry"
	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// secretName is the Secret that Terraform manages, jobSecretName the one that
// Auto DevOps' deploy jobs write.
const (
	secretName    = "registry-access"
	jobSecretName = "gitlab-registry"
)

// labs numbers the labs, for the names of their namespaces.
var labs atomic.Int64

// lab is one GitLab with its registry, and a namespace of the cluster.
type lab struct {
	*testing.T

	ctx       context.Context
	gitlab    *gitlabtest.Server
	registry  *registry.Registry
	group     *gitlabtest.Group
	token     string
	namespace string
	// clock is the file from which a provider on a clock reads the time; empty for
	// the provider as it is released.
	clock string
}

// newLab starts a lab with the released provider, on the real time.
func newLab(t *testing.T) *lab {
	t.Helper()
	return startLab(t, gitlabtest.NewClock(time.Now()), "")
}

// newClockedLab starts a lab whose time is moved by passDays.
func newClockedLab(t *testing.T) *lab {
	t.Helper()
	l := startLab(t, gitlabtest.NewClock(time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)), filepath.Join(t.TempDir(), "clock"))
	l.passDays(0)
	return l
}

func startLab(t *testing.T, clock *gitlabtest.Clock, clockFile string) *lab {
	t.Helper()
	l := &lab{T: t, ctx: t.Context(), gitlab: gitlabtest.New(t, gitlabtest.WithClock(clock)), clock: clockFile}
	l.namespace = fmt.Sprintf("lab-%d", labs.Add(1))
	var err error
	l.registry, err = registry.Start(l.ctx, l.gitlab)
	l.must(err)
	t.Cleanup(l.registry.Close)
	l.must(house.cluster.CreateNamespace(l.ctx, l.namespace))
	l.group = l.gitlab.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	l.token = l.gitlab.CreateAccessToken(l.gitlab.GroupMember(l.group, gitlabtest.Maintainer), "api")
	return l
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// passDays moves the time of GitLab and provider.
func (l *lab) passDays(days int) {
	l.Helper()
	l.pass(time.Duration(days) * 24 * time.Hour)
}

func (l *lab) pass(d time.Duration) {
	l.Helper()
	l.gitlab.Clock.Advance(d)
	// Renamed into place: somebody may be reading it.
	l.must(os.WriteFile(l.clock+".new", []byte(l.gitlab.Clock.Now().Format(time.RFC3339Nano)), 0o600))
	l.must(os.Rename(l.clock+".new", l.clock))
}

// app is a project with an image in the registry, which a job has pushed.
type app struct {
	*gitlabtest.Project

	path, image, repository string
}

func (l *lab) newApp(path string) app {
	l.Helper()
	a := app{Project: l.gitlab.CreateProject(path, gitlabtest.ProjectOptions{}), path: path, image: l.registry.Image(path), repository: l.registry.Host + "/" + path}
	job := l.gitlab.StartJob(a.Project)
	l.must(l.registry.Push(l.ctx, a.image, house.app, "gitlab-ci-token", job.Token))
	l.gitlab.EndJob(job)
	return a
}

// deployJob is what a job of Auto DevOps does with the cluster's credentials.
func (l *lab) deployJob(a app) *gitlabtest.Job {
	l.Helper()
	job := l.gitlab.StartJob(a.Project)
	username, password := l.gitlab.DeploySecret(job)
	l.writeSecret(jobSecretName, fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, l.registry.Host, username, password))
	return job
}

func (l *lab) writeSecret(name, dockerConfig string) {
	l.Helper()
	secrets := house.cluster.Client.CoreV1().Secrets(l.namespace)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(dockerConfig)},
	}
	_, err := secrets.Update(l.ctx, secret, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = secrets.Create(l.ctx, secret, metav1.CreateOptions{})
	}
	l.must(err)
}

// secret returns what the cluster has under that name; an empty Secret if it has
// nothing, and if the test is over.
func (l *lab) secret(name string) corev1.Secret {
	for {
		secret, err := house.cluster.Client.CoreV1().Secrets(l.namespace).Get(l.ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			return *secret
		case l.ctx.Err() != nil || apierrors.IsNotFound(err):
			return corev1.Secret{}
		}
		time.Sleep(pullEvery) // the API server is busy; that is no pull that failed
	}
}

// published are the credentials that the kubelet would use for the app, with the
// Secret that Terraform manages; empty if it would pull anonymously.
func (l *lab) published(a app) cluster.Credentials {
	l.Helper()
	chosen, err := house.cluster.Choose(a.repository, l.secret(secretName))
	l.must(err)
	switch len(chosen) {
	case 0:
		return cluster.Credentials{}
	case 1:
		return chosen[0]
	}
	l.Fatalf("the Secret has %d credentials for one image", len(chosen))
	return cluster.Credentials{}
}

// runs proves that a new pod with these Secrets comes up.
func (l *lab) runs(name string, secrets []string, apps ...app) {
	l.Helper()
	for _, a := range apps {
		l.must(l.pullAsKubelet(a, secrets...))
	}
	if !house.pods {
		return
	}
	p := l.pod(name, secrets, apps...)
	l.must(house.cluster.CreatePod(l.ctx, p))
	l.must(house.cluster.AwaitRunning(l.ctx, p))
}

func (l *lab) pod(name string, secrets []string, apps ...app) cluster.Pod {
	p := cluster.Pod{Namespace: l.namespace, Name: name, Secrets: secrets}
	for _, a := range apps {
		p.Images = append(p.Images, a.image)
	}
	return p
}

// pullAsKubelet pulls as the kubelet does: with the credentials that its own code
// chooses, one after the other, or anonymously.
func (l *lab) pullAsKubelet(a app, secrets ...string) error {
	read := make([]corev1.Secret, 0, len(secrets))
	for _, name := range secrets {
		read = append(read, l.secret(name))
	}
	chosen, err := house.cluster.Choose(a.repository, read...)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		chosen = []cluster.Credentials{{}}
	}
	var failed error
	for _, c := range chosen {
		if err := l.registry.Pull(l.ctx, a.image, c.Username, c.Password); err == nil {
			return nil
		} else {
			failed = errors.Join(failed, err)
		}
	}
	return fmt.Errorf("pull of %s: %w", a.path, failed)
}

// refused expects the registry to refuse the credentials.
func (l *lab) refused(a app, c cluster.Credentials) {
	l.Helper()
	err := l.registry.Pull(l.ctx, a.image, c.Username, c.Password)
	if refusal, ok := errors.AsType[*registry.RefusedError](err); !ok || refusal.Status != 401 {
		l.Errorf("the credentials should be dead; the pull ends with: %v", err)
	}
}

// stack is one state with its configuration.
type stack struct {
	*lab

	cli *terraform.CLI
	// kubernetes is the URL under which the Kubernetes provider reaches the API server.
	kubernetes string
}

// newStack prepares a CLI for a configuration in the lab, whose providers are the
// real binaries. more are further variables of its environment.
func (l *lab) newStack(more ...string) *stack {
	l.Helper()
	configFile := house.released
	env := append([]string{"GITLAB_BASE_URL=" + l.gitlab.URL, "GITLAB_TOKEN=" + l.token, "TF_VAR_kubernetes_token=" + house.cluster.AdminToken}, more...)
	if l.clock != "" {
		configFile = house.clocked
		env = append(env, "E2E_CLOCK="+l.clock)
	}
	cli, err := terraform.NewInstalled(house.cli, configFile, env...)
	l.must(err)
	l.Cleanup(cli.Close)
	return &stack{lab: l, cli: cli, kubernetes: house.cluster.URL}
}

// runHeader carries the variable "run".
const runHeader = "X-Run"

const preamble = `
terraform {
  required_providers {
    autodevops = {
      source  = "autodevops/autodevops"
      version = "~> 0.1"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 1.13"
    }
  }
}

variable "kubernetes_token" {
  sensitive = true
}

# Tells the requests of one run from those of another.
variable "run" {
  default = ""
}

provider "autodevops" {
  headers = { %q = var.run }
}

provider "kubernetes" {
  load_config_file       = false
  host                   = %q
  token                  = var.kubernetes_token
  cluster_ca_certificate = file(%q)
}
`

// write writes a configuration, after what all have.
func (s *stack) write(config string) {
	s.Helper()
	s.must(s.cli.Write(fmt.Sprintf(preamble, runHeader, s.kubernetes, house.cluster.CAFile) + config))
}

// access is the usual configuration: an access with these arguments, and a Secret.
func (s *stack) access(a app, arguments ...string) {
	s.Helper()
	s.write(fmt.Sprintf(`
resource "autodevops_registry_access" "app" {
  project = %q
  %s
}
`, a.path, strings.Join(arguments, "\n  ")) + s.secretOf(secretName, "autodevops_registry_access.app.docker_config_json"))
}

func (s *stack) secretOf(name, expression string) string {
	return fmt.Sprintf(`
resource "kubernetes_secret" "registry" {
  metadata {
    name      = %q
    namespace = %q
  }
  type = "kubernetes.io/dockerconfigjson"
  data = { ".dockerconfigjson" = %s }
}
`, name, s.namespace, expression)
}

func (s *stack) init() {
	s.Helper()
	_, err := s.cli.Run(s.ctx, "init", "-input=false", "-no-color")
	s.must(err)
}

// apply returns what the CLI says, the plan included.
func (s *stack) apply() string {
	s.Helper()
	out, err := s.tryApply()
	if err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
	return out
}

func (s *stack) tryApply(args ...string) (string, error) {
	return s.cli.Run(s.ctx, append([]string{"apply", "-auto-approve", "-input=false", "-no-color"}, args...)...)
}

// refresh writes what GitLab says into the state.
func (s *stack) refresh() {
	s.Helper()
	_, err := s.tryApply("-refresh-only")
	s.must(err)
}

func (s *stack) destroy() {
	s.Helper()
	_, err := s.cli.Run(s.ctx, "destroy", "-auto-approve", "-input=false", "-no-color")
	s.must(err)
}

// settled expects an empty plan.
func (s *stack) settled() {
	s.Helper()
	out, err := s.cli.Run(s.ctx, "plan", "-input=false", "-no-color")
	s.must(err)
	if !strings.Contains(out, "No changes.") {
		s.Errorf("the plan is not empty:\n%s", out)
	}
}

// says checks that a text says something, however it is wrapped and framed.
func (l *lab) says(text, what string) {
	l.Helper()
	flat := strings.Join(strings.Fields(strings.ReplaceAll(text, "│", " ")), " ")
	if !strings.Contains(flat, what) {
		l.Errorf("nothing says %q in:\n%s", what, text)
	}
}
