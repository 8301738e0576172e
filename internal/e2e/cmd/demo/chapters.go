package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const header = `
terraform {
  required_providers {
    autodevops = { source = "registry.terraform.io/autodevops/autodevops" }
    kubernetes = { source = "` + kubernetesAddress + `" }
  }
}
`

const production, staging = "production", "staging"

// shopWith is the configuration of acme/shop with some more lines.
func shopWith(lines ...string) string {
	lines = append([]string{`project      = "acme/shop"`, `ci_variables = {}`}, lines...)
	return "\nresource \"autodevops_registry_access\" \"shop\" {\n  " + strings.Join(lines, "\n  ") + "\n}\n"
}

const blogWithSecret = `
resource "autodevops_registry_access" "blog" {
  project = "acme/blog"

  lifecycle {
    create_before_destroy = true
  }
}

resource "kubernetes_secret_v1" "blog" {
  metadata {
    name      = "registry-access"
    namespace = "blog"
  }
  type = "kubernetes.io/dockerconfigjson"
  data = { ".dockerconfigjson" = autodevops_registry_access.blog.docker_config_json }
}
`

func (s *story) bug() error {
	s.chapter("The bug", "acme/shop is private. Auto DevOps is on for its group, and deploys %s and %s.", production, staging)
	for _, p := range []*gitlabtest.Project{s.shop, s.blog} {
		build := s.gitlab.StartJob(p)
		if err := s.registry.PushRandom(s.ctx, s.image(p), "gitlab-ci-token", build.Token); err != nil {
			return fmt.Errorf("the build job cannot push: %w", err)
		}
		s.gitlab.EndJob(build)
	}
	if err := errors.Join(s.deploy(production), s.deploy(staging)); err != nil {
		return err
	}
	s.say("Each deploy job has written its own token into the cluster. The jobs have ended.")
	s.say("A node is drained, and pods move:")
	return errors.Join(s.refused(s.shop, "the moved pod of production", s.inCluster(production)),
		s.refused(s.shop, "the moved pod of staging", s.inCluster(staging)))
}

func (s *story) cure() error {
	s.chapter("Two lines", "Deploy jobs should write a deploy token instead, which outlives them. This is all there is to configure:")
	show("main.tf", strings.Split(strings.TrimSpace(shopWith()), "\n"))
	if err := s.apply(shopWith(), view{attributes: []string{"required", "reason", "last_action", "ci_status"}}); err != nil {
		return err
	}
	s.say("The project has the variables %s now. The cluster still", s.variables())
	s.say("holds what the old jobs wrote. The next plan says so:")
	if err := s.steady(view{}); err != nil {
		return err
	}
	s.say("Both deploy jobs run once more, and end. A node is drained, and pods move:")
	return errors.Join(s.deploy(production), s.deploy(staging), s.bothPull("the moved pod of %s"))
}

func (s *story) rotation() error {
	s.gitlab.Clock.AdvanceDays(183)
	s.chapter("Rotation", "Half of the token's life is over.")
	old := s.inCluster(staging)
	if err := s.apply(shopWith(), view{attributes: []string{"generation", "last_change"}, details: true}); err != nil {
		return err
	}
	s.say("production is deployed again, and staging is forgotten. Both pull:")
	if err := errors.Join(s.deploy(production), s.pull(s.shop, "production, with the new token,", s.inCluster(production)),
		s.pull(s.shop, "staging, with the old token,", s.inCluster(staging))); err != nil {
		return err
	}
	if s.inCluster(production) == old || s.inCluster(staging) != old {
		return errors.New("the environments do not hold what the story says")
	}
	s.say("The resource knows which environment is behind:")
	if err := s.plan(view{attributes: []string{"environments_behind"}}, "-refresh-only"); err != nil {
		return err
	}
	s.gitlab.Clock.AdvanceDays(153)
	s.say("30 days before staging loses its pull, each plan warns, although there is nothing to apply:")
	if err := s.steady(view{details: true}); err != nil {
		return err
	}
	if err := s.deploy(staging); err != nil {
		return err
	}
	s.say("The deploy job of staging runs, and the warning is gone:")
	if err := s.quiet(); err != nil {
		return err
	}
	s.gitlab.Clock.AdvanceDays(29)
	s.say("The old token has expired:")
	return errors.Join(s.refused(s.shop, "whoever kept it", old), s.bothPull("%s"))
}

func (s *story) leak() error {
	s.chapter("A leak", "The token has leaked into a chat. First, there must be a new one:")
	leaked := s.inCluster(production)
	incident := `rotate_when_changed = { incident = "chat" }`
	if err := s.apply(shopWith(incident), view{attributes: []string{"last_change"}}); err != nil {
		return err
	}
	s.say("Then the deploy jobs run. Until the last one has ended, the old token stays valid, so no pull fails:")
	if err := errors.Join(s.deploy(production), s.bothPull("%s")); err != nil {
		return err
	}
	if s.inCluster(staging) != leaked {
		return errors.New("staging does not hold what the story says")
	}
	if err := s.deploy(staging); err != nil {
		return err
	}
	s.say("Now no environment holds it any more. overlap_days = 0 ends it:")
	if err := s.apply(shopWith(incident, `rotation = { overlap_days = 0 }`), view{attributes: []string{"last_action"}}); err != nil {
		return err
	}
	if err := errors.Join(s.refused(s.shop, "the reader of the chat", leaked), s.bothPull("%s")); err != nil {
		return err
	}
	return s.applyUnseen(shopWith(incident)) // the guide takes the line out again
}

func (s *story) secretWay() error {
	s.chapter("The second way: a Secret", "No job of Auto DevOps deploys acme/blog. Terraform writes the Secret there:")
	show("main.tf", strings.Split(strings.TrimSpace(blogWithSecret), "\n"))
	if err := s.apply(shopWith(`rotate_when_changed = { incident = "chat" }`)+blogWithSecret, view{}); err != nil {
		return err
	}
	return s.pull(s.blog, "a pod of acme/blog", s.secret())
}

func (s *story) leakOfSecret() error {
	s.chapter("A leak, the second way", "This token leaks, too. One command replaces it, while pods pull without a pause:")
	leaked := s.secret()
	stop := s.pullOverAndOver(s.secret)
	err := s.apply("", view{attributes: []string{"token_id"}}, "-replace=autodevops_registry_access.blog")
	load := stop()
	if err = errors.Join(err, load.err); err != nil {
		return err
	}
	fmt.Printf("  %s %s\n", green("✔"), load)
	return errors.Join(s.refused(s.blog, "whoever has the leaked token", leaked), s.pull(s.blog, "a pod of acme/blog", s.secret()))
}

// secret is what the Secret of acme/blog holds.
func (s *story) secret() credentials {
	return s.cluster.credentials("blog", "registry-access", s.registry.Host)
}

func (s *story) end() error {
	s.chapter("The end", "Both projects are given up. A destroy removes the variables, and then revokes the tokens.")
	out, err := s.run("destroy", "-auto-approve")
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(out, "\n") {
		if strings.HasPrefix(line, "Destroy complete!") {
			show("$ "+s.tool()+" destroy", []string{line})
		}
	}
	for _, p := range []*gitlabtest.Project{s.shop, s.blog} {
		if tokens, variables := len(s.gitlab.ActiveTokens(p)), len(s.gitlab.Variables(p)); tokens+variables != 0 {
			return fmt.Errorf("%s still has %d deploy tokens and %d variables", p.Path, tokens, variables)
		}
	}
	s.say("GitLab has no deploy token and no variable of the two projects any more.")
	return nil
}
