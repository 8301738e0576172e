package examples_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// TestAdopt: one apply takes over what GitLab has made, mints what is missing and winds
// down what nobody needs. A rename changes no token, and no project is ended because a
// list lacks it.
func TestAdopt(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	off := false
	withToken := func(p *gitlabtest.Project) gitlabtest.Token {
		return w.CreateDeployToken(p, access.GitLabName, "", time.Time{}, "read_registry")
	}
	site := w.CreateProject("acme/site", gitlabtest.ProjectOptions{Visibility: "public"})
	tool := w.CreateProject("acme/sub/tool", gitlabtest.ProjectOptions{AutoDevOps: &off})
	w.CreateProject("acme/sub/doc", gitlabtest.ProjectOptions{AutoDevOps: &off})
	shops, sites, tools := withToken(w.shop), withToken(site), withToken(tool)

	cli := installed(t, env...)
	repository := repositoryOf(t)
	configure := func(arguments string) {
		config := snippetOf(t, "../templates/guides/adopt-a-group.md", "terraform", "for_each = module.adopt.imports")
		config = strings.NewReplacer("https://gitlab.example.com", w.URL, "git::https://github.com/autodevops/terraform-provider-autodevops.git", "git::file://"+repository,
			`group  = "acme"`, `group  = "acme"`+arguments).Replace(config)
		write(t, cli, sources+config+`
output "made_by_gitlab" { value = module.adopt.made_by_gitlab }
output "credentials" {
  value     = module.adopt.docker_config_json
  sensitive = true
}
`)
		run(t, cli, "init", "-input=false")
	}
	configure("")
	plan := squeezed(run(t, cli, "plan", "-input=false", "-no-color"))
	for _, want := range []string{
		"Plan: 3 to import, 4 to add, 3 to change, 0 to destroy", fmt.Sprintf("Take-over of token %d of acme/shop", shops.ID),
		fmt.Sprintf("of token %d of acme/site", sites.ID), fmt.Sprintf("Wind-down of token %d of acme/sub/tool", tools.ID),
	} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan)
		}
	}
	run(t, cli, "apply", "-auto-approve", "-input=false")
	for _, old := range []struct {
		project *gitlabtest.Project
		token   gitlabtest.Token
		active  int
	}{{w.shop, shops, 2}, {site, sites, 1}, {tool, tools, 1}} {
		if n := len(w.ActiveTokens(old.project)); n != old.active || !w.CanPull(old.project, old.token.Username, old.token.Secret) {
			t.Errorf("%s has %d active tokens, want %d, GitLab's own one among them", w.ProjectPath(old.project), n, old.active)
		}
	}
	for _, p := range w.projects[1:] {
		if n := len(w.ActiveTokens(p)); n != 1 {
			t.Errorf("%s has %d tokens", w.ProjectPath(p), n)
		}
	}
	if credentials := run(t, cli, "output", "-json", "credentials"); strings.Count(credentials, "username") != 4 {
		t.Error("the output does not have the credentials of four projects")
	}

	// The import block stays, and a project has another path.
	w.RenameProject(w.shop, "acme/store")
	plan = run(t, cli, "plan", "-input=false", "-no-color")
	for _, unwanted := range []string{"to import", "destroyed", "Rotation of", "created"} {
		if strings.Contains(plan, unwanted) {
			t.Errorf("after the rename, the plan says %q:\n%s", unwanted, plan)
		}
	}

	// GitLab makes its own token again.
	again := withToken(w.projects[1])
	run(t, cli, "apply", "-auto-approve", "-input=false")
	if made := squeezed(run(t, cli, "output", "-json", "made_by_gitlab")); made != fmt.Sprintf(`{"acme/worker":%d}`, again.ID) {
		t.Errorf("made by GitLab are %s", made)
	}

	configure("\n  exclude = [\"acme/store\"]")
	if _, err := cli.Run(t.Context(), "plan", "-input=false", "-no-color"); err == nil || !strings.Contains(squeezed(err.Error()), "prevent_destroy set") {
		t.Errorf("a project that is left out: %v", err)
	}
}

// TestAdopt_ciVariables: the new credentials reach the jobs of each project.
func TestAdopt_ciVariables(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	old := w.CreateDeployToken(w.shop, access.GitLabName, "", time.Time{}, "read_registry")
	cli := installed(t, env...)
	write(t, cli, sources+`
module "adopt" {
  source       = "git::file://`+repositoryOf(t)+`//examples/modules/adopt?ref=v0.1.0"
  group        = "acme"
  ci_variables = {}
}
import {
  for_each = module.adopt.imports
  to       = module.adopt.autodevops_registry_access.this[each.key]
  id       = each.value
}
`)
	run(t, cli, "init", "-input=false")
	run(t, cli, "apply", "-auto-approve", "-input=false")
	if plan := run(t, cli, "plan", "-input=false", "-no-color"); !strings.Contains(plan, "No changes.") {
		t.Errorf("the plan is not empty:\n%s", plan)
	}
	for _, p := range w.projects {
		username, password := w.DeploySecret(w.StartJob(p))
		if password == old.Secret || !w.CanPull(p, username, password) {
			t.Errorf("a job of %s cannot pull, or has the old token", w.ProjectPath(p))
		}
	}
	if !w.CanPull(w.shop, old.Username, old.Secret) {
		t.Error("the old token has ended")
	}
}
