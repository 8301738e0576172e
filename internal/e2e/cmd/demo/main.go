// Command demo lives through the life of one project's registry access: a real
// Terraform or OpenTofu CLI, a real container registry, and the GitLab stand-in
// that authorises it. Time moves by the stand-in's clock.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
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

const configuration = `
terraform {
  required_providers {
    autodevops = { source = "registry.terraform.io/autodevops/autodevops" }
  }
}

resource "autodevops_registry_access" "shop" {
  project = "acme/shop"
}

output "docker_config_json" {
  value     = autodevops_registry_access.shop.docker_config_json
  sensitive = true
}
`

// story is the cast of the demo.
type story struct {
	ctx      context.Context
	gitlab   *gitlabtest.Server
	registry *registry.Registry
	cli      *terraform.CLI
	project  *gitlabtest.Project
	group    *gitlabtest.Group
	image    string
	begun    time.Time
}

// credentials are what a cluster's Secret holds.
type credentials struct{ username, password string }

func run(ctx context.Context) error {
	s, err := begin(ctx)
	if err != nil {
		return err
	}
	defer s.gitlab.Close()
	defer s.registry.Close()
	defer s.cli.Close()

	for _, chapter := range []func() error{s.foundingBug, s.rotation, s.windDown, s.turnsPublic, s.end} {
		if err := chapter(); err != nil {
			return err
		}
	}
	fmt.Printf("\n%s in %s: every pull went as promised.\n", green("DONE"), time.Since(s.begun).Round(100*time.Millisecond))
	return nil
}

func begin(ctx context.Context) (*story, error) {
	s := &story{ctx: ctx, begun: time.Now()}
	var err error
	clock := gitlabtest.NewClock(time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC))
	if s.gitlab, err = gitlabtest.Start(gitlabtest.WithClock(clock)); err != nil {
		return nil, err
	}
	if s.registry, err = registry.Start(ctx, s.gitlab); err != nil {
		return nil, err
	}
	s.group = s.gitlab.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	s.project = s.gitlab.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	s.image = s.registry.Image("acme/shop")

	path, err := terraform.Find()
	if err != nil {
		return nil, err
	}
	token := s.gitlab.CreateAccessToken(s.gitlab.Maintainer(s.project), "api")
	if s.cli, err = terraform.New(path, clock.Now, "GITLAB_BASE_URL="+s.gitlab.URL, "GITLAB_TOKEN="+token); err != nil {
		return nil, err
	}
	if err = s.cli.Write(configuration); err != nil {
		return nil, err
	}
	version, err := s.cli.Run(ctx, "version")
	if err != nil {
		return nil, err
	}
	version, _, _ = strings.Cut(version, "\n")
	fmt.Printf("%s, a container registry at %s, a GitLab stand-in at %s\n", version, s.registry.Host, s.gitlab.URL)
	_, err = s.cli.Run(ctx, "init")
	return s, err
}

func (s *story) foundingBug() error {
	s.chapter("The founding bug", "acme/shop is private; Auto DevOps is on for the whole group acme.")
	job := s.gitlab.StartJob(s.project)
	if err := s.registry.PushRandom(s.ctx, s.image, "gitlab-ci-token", job.Token); err != nil {
		return fmt.Errorf("the job cannot push: %w", err)
	}
	username, password := s.gitlab.DeploySecret(job)
	inCluster := credentials{username, password}
	s.say("The deploy job pushes %s and writes its own job token into the cluster.", s.image)
	if err := s.pulls("the first pod", inCluster); err != nil {
		return err
	}
	s.gitlab.EndJob(job)
	s.say("The job ends. A node is drained, the pod moves, the image must be pulled again.")
	if err := s.refused("the moved pod", inCluster, 401); err != nil {
		return err
	}

	if err := s.planAndApply(); err != nil {
		return err
	}
	minted, err := s.published()
	if err != nil {
		return err
	}
	if err := s.pulls("a pod with the new Secret", minted); err != nil {
		return err
	}
	s.gitlab.Clock.AdvanceDays(1)
	s.say("A day later nothing is due, and the plan is empty:")
	return s.expectNoChanges()
}

func (s *story) rotation() error {
	old, err := s.published()
	if err != nil {
		return err
	}
	s.gitlab.Clock.AdvanceDays(335)
	s.chapter("Rotation", "335 days later the token is inside its rotation window of 30 days.")
	if err = s.planAndApply(); err != nil {
		return err
	}
	fresh, err := s.published()
	if err != nil {
		return err
	}
	if err := errors.Join(s.pulls("a pod with the new token", fresh), s.pulls("a pod that still has the old one", old)); err != nil {
		return err
	}
	s.gitlab.Clock.AdvanceDays(7)
	s.say("The overlap of 7 days has ended.")
	if err := s.planAndApply(); err != nil {
		return err
	}
	return errors.Join(s.pulls("a pod with the new token", fresh), s.refused("whoever kept the old one", old, 401))
}

func (s *story) windDown() error {
	s.chapter("A flap", "Auto DevOps goes off for the group. Nobody stops the pods that run.")
	current, err := s.published()
	if err != nil {
		return err
	}
	s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.False)
	if err := s.planAndApply(); err != nil {
		return err
	}
	if err := s.pulls("a running pod", current); err != nil {
		return err
	}
	s.gitlab.Clock.AdvanceDays(2)
	s.say("Two days later it is on again.")
	s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.True)
	if err := s.planAndApply(); err != nil {
		return err
	}
	return s.pulls("a running pod, still with the same token,", current)
}

func (s *story) turnsPublic() error {
	s.chapter("Open source", "acme/shop turns public: no credentials are needed, and dead ones would be refused.")
	current, err := s.published()
	if err != nil {
		return err
	}
	s.gitlab.SetVisibility(s.project, "public")
	if err := s.planAndApply(); err != nil {
		return err
	}
	if empty, err := s.published(); err != nil || empty != (credentials{}) {
		return fmt.Errorf("the Secret is not empty: %w", err)
	}
	if err := errors.Join(s.pulls("a pod with the empty Secret", credentials{}), s.pulls("a pod that still has the old one", current)); err != nil {
		return err
	}
	s.gitlab.Clock.AdvanceDays(7)
	s.say("The overlap has ended.")
	if err := s.planAndApply(); err != nil {
		return err
	}
	return errors.Join(s.pulls("a pod with the empty Secret", credentials{}), s.refused("whoever kept the dead one, public project or not,", current, 401))
}

func (s *story) end() error {
	if live := len(s.gitlab.ActiveTokens(s.project)); live != 0 {
		return fmt.Errorf("%d deploy tokens live on", live)
	}
	s.say("GitLab lists no deploy token of acme/shop any more.")
	return s.expectNoChanges()
}

// planAndApply shows the plan as a reviewer sees it, and applies exactly that.
func (s *story) planAndApply() error {
	plan, err := s.cli.Run(s.ctx, "plan", "-out=plan.bin", "-no-color")
	if err != nil {
		return err
	}
	fmt.Println(frame("terraform plan", essential(plan)))
	if strings.Contains(plan, "No changes.") {
		return errors.New("the plan has no changes")
	}
	if _, err := s.cli.Run(s.ctx, "apply", "-no-color", "plan.bin"); err != nil {
		return err
	}
	s.say("%s", green("applied"))
	return nil
}

func (s *story) expectNoChanges() error {
	plan, err := s.cli.Run(s.ctx, "plan", "-no-color")
	if err != nil {
		return err
	}
	if !strings.Contains(plan, "No changes.") {
		return fmt.Errorf("the plan is not empty:\n%s", plan)
	}
	fmt.Println(frame("terraform plan", []string{"No changes. Your infrastructure matches the configuration."}))
	return nil
}

// published is what the Secret holds after an apply.
func (s *story) published() (credentials, error) {
	raw, err := s.cli.Run(s.ctx, "output", "-raw", "docker_config_json")
	if err != nil {
		return credentials{}, err
	}
	var config struct {
		Auths map[string]struct{ Username, Password string }
	}
	if err := json.Unmarshal([]byte(raw), &config); err != nil {
		return credentials{}, errors.New("docker_config_json is not a docker config")
	}
	auth := config.Auths[s.registry.Host]
	return credentials{auth.Username, auth.Password}, nil
}

func (s *story) pulls(who string, c credentials) error {
	if err := s.registry.Pull(s.ctx, s.image, c.username, c.password); err != nil {
		return fmt.Errorf("%s cannot pull: %w", who, err)
	}
	fmt.Printf("  %s %s pulls\n", green("✔"), who)
	return nil
}

func (s *story) refused(who string, c credentials, status int) error {
	err := s.registry.Pull(s.ctx, s.image, c.username, c.password)
	refused, ok := errors.AsType[*registry.RefusedError](err)
	if !ok || refused.Status != status {
		return fmt.Errorf("%s should have got %d: %w", who, status, err)
	}
	fmt.Printf("  %s %s gets %s\n", red("✘"), who, refused)
	return nil
}

func (s *story) chapter(title, opening string) {
	fmt.Printf("\n%s\n", bold("━━ "+title+" "+strings.Repeat("━", max(0, 70-len([]rune(title))))))
	s.say("%s", opening)
}

// say narrates, on the date of the story.
func (s *story) say(format string, args ...any) {
	fmt.Printf("%s  %s\n", dim(s.gitlab.Clock.Now().Format(time.DateOnly)), fmt.Sprintf(format, args...))
}
