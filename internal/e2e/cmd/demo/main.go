// Command demo lives through the life of two projects' registry access: a real
// Terraform or OpenTofu CLI, a real container registry, and stand-ins for GitLab and for a
// cluster. Time moves by the stand-in's clock.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/registry"
	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\n%s %v\n", red("FAILED"), err)
		os.Exit(1)
	}
}

// story is the cast of the demo.
type story struct {
	ctx      context.Context
	gitlab   *gitlabtest.Server
	registry *registry.Registry
	cluster  *cluster
	cli      *terraform.CLI
	// shop is deployed by Auto DevOps, blog by something else.
	shop, blog *gitlabtest.Project
	begun      time.Time
	pulls      int
}

// credentials are what a pod has for its pulls.
type credentials struct{ username, password string }

func run(ctx context.Context) error {
	s, err := begin(ctx)
	if err != nil {
		return err
	}
	defer s.gitlab.Close()
	defer s.registry.Close()
	defer s.cli.Close()

	for _, chapter := range []func() error{s.bug, s.cure, s.rotation, s.leak, s.secretWay, s.leakOfSecret, s.end} {
		if err := chapter(); err != nil {
			return err
		}
	}
	fmt.Printf("\n%s in %s: %d pulls, and each went as it should.\n", green("DONE"), time.Since(s.begun).Round(100*time.Millisecond), s.pulls)
	return nil
}

func begin(ctx context.Context) (*story, error) {
	s := &story{ctx: ctx, begun: time.Now(), cluster: newCluster()}
	var err error
	clock := gitlabtest.NewClock(time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC))
	if s.gitlab, err = gitlabtest.Start(gitlabtest.WithClock(clock)); err != nil {
		return nil, err
	}
	if s.registry, err = registry.Start(ctx, s.gitlab); err != nil {
		return nil, err
	}
	group := s.gitlab.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	s.shop = s.gitlab.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	s.blog = s.gitlab.CreateProject("acme/blog", gitlabtest.ProjectOptions{})

	path, err := terraform.Find()
	if err != nil {
		return nil, err
	}
	token := s.gitlab.CreateAccessToken(s.gitlab.GroupMember(group, gitlabtest.Maintainer), "api")
	if s.cli, err = terraform.New(path, clock.Now, "GITLAB_BASE_URL="+s.gitlab.URL, "GITLAB_TOKEN="+token); err != nil {
		return nil, err
	}
	s.cli.Attach(kubernetesAddress, s.cluster.provider)
	version, err := s.cli.Run(ctx, "version")
	if err != nil {
		return nil, err
	}
	version, _, _ = strings.Cut(version, "\n")
	fmt.Printf("Real: %s, the provider, a container registry at %s, and each pull.\n", version, s.registry.Host)
	fmt.Printf("Stand-ins: GitLab at %s, the cluster, and the time. Plans show what matters, not all attributes.\n", s.gitlab.URL)
	if err = s.cli.Write(header); err != nil {
		return nil, err
	}
	_, err = s.cli.Run(ctx, "init", "-input=false")
	return s, err
}

// tool is the name of the CLI.
func (s *story) tool() string { return filepath.Base(s.cli.Path) }

// deploy runs the deploy job of an environment, as Auto DevOps does. A new pod pulls while
// the job runs.
func (s *story) deploy(environment string) error {
	s.gitlab.Clock.Advance(5 * time.Minute)
	job := s.gitlab.QueueJob(s.shop, gitlabtest.JobOptions{Name: environment, Environment: environment})
	s.gitlab.PickUp(job)
	s.gitlab.CreateSecret(job, environment)
	if err := s.tryPull(s.shop, s.inCluster(environment)); err != nil {
		return fmt.Errorf("a pod of %s cannot pull while the deploy job runs: %w", environment, err)
	}
	s.gitlab.Clock.Advance(5 * time.Minute)
	s.gitlab.FinishJob(job, "success")
	return nil
}

// inCluster is what the deploy job of an environment has left in the cluster.
func (s *story) inCluster(environment string) credentials {
	username, password, _ := s.gitlab.ClusterSecret(s.shop, environment)
	return credentials{username, password}
}

func (s *story) image(p *gitlabtest.Project) string { return s.registry.Image(p.Path) }

func (s *story) tryPull(p *gitlabtest.Project, c credentials) error {
	s.pulls++
	return s.registry.Pull(s.ctx, s.image(p), c.username, c.password)
}
