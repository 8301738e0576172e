// Package examples_test plans every example of the documentation with a real CLI and the
// provider as it is released, against the GitLab stand-in. Where an example needs the
// providers for Kubernetes or GitLab, a stand-in that knows the same arguments takes their
// place (cmd/stand-in-provider).
package examples_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// root is the folder of the examples.
const root = "../../../examples"

// example is a configuration to plan.
type example struct {
	// files are its configuration, below root: names or patterns.
	files []string
	// with is what the example leaves to its reader.
	with string
	// variables of the configuration.
	variables []string
	// only validate: the example has a backend or a service that is not there.
	validate bool
	// identity: the CLI must know resource identities.
	identity bool
	// says is what the plan must contain; refuses is the error that it must fail with.
	says    []string
	refuses string
	// also is what else must be so in the world.
	also func(*world)
}

const resources = "resources/autodevops_registry_access/"

var all = map[string]example{
	"provider": {files: []string{"provider/provider.tf"}, says: []string{"No changes."}},
	"resource": {
		files: []string{resources + "resource.tf"},
		says:  []string{"Plan: 2 to add", `reason = "auto_devops_private"`, "docker_config_revision = (known after apply)"},
	},
	"CI/CD variables": {
		files: []string{resources + "resource_ci_variables.tf"},
		says:  []string{"Plan: 1 to add", `ci_status = "published"`},
	},
	"rotation": {files: []string{resources + "resource_rotation.tf"}, says: []string{"expiration_days    = 90"}},
	"same run": {files: []string{resources + "resource_same_run.tf"}, says: []string{"Plan: 2 to add", "(known after apply)"}},
	"import by id": {
		files: []string{resources + "import-by-string-id.tf", resources + "resource.tf"},
		says:  []string{"1 to import", "Taken over: token"},
	},
	"import by identity": {
		files: []string{resources + "import-by-identity.tf", resources + "resource.tf"}, identity: true,
		says: []string{"1 to import"},
	},
	"data source": {
		files: []string{"data-sources/autodevops_registry_access/*.tf"},
		says:  []string{"Check block assertion failed", "acme/shop has no working pull token"},
	},
	"coverage": {
		files: []string{"data-sources/autodevops_registry_coverage/data-source.tf"},
		says:  []string{"No working deploy token: acme/billing, acme/catalog, acme/worker", "Hidden from this token: acme/hidden", "Expires within 14 days: acme/shop"},
		also: func(w *world) {
			w.CreateDeployToken(w.shop, access.DefaultName, access.NewUsername(w.shop.ID), w.Clock.Now().AddDate(0, 0, 13), "read_registry")
			w.LeaveOut(w.CreateProject("acme/hidden", gitlabtest.ProjectOptions{}), "auto_devops_enabled")
			w.CreateProject("acme/sandbox/toy", gitlabtest.ProjectOptions{})
		},
	},
	"coverage of projects": {
		files: []string{"data-sources/autodevops_registry_coverage/data-source_projects.tf"},
		says:  []string{`"acme/shop" = "2`, `"acme/billing" = "Auto DevOps deploys a private project`},
		also: func(w *world) {
			w.CreateDeployToken(w.shop, access.DefaultName, access.NewUsername(w.shop.ID), w.Clock.Now().AddDate(0, 0, 300), "read_registry")
		},
	},
	"sealed, for Kubernetes": {
		files: []string{"ephemeral-resources/autodevops_registry_credentials/ephemeral-resource.tf"},
		says:  []string{"Plan: 2 to add", "sealed_credentials = (known after apply)", "data_wo "},
	},
	"sealed, for Vault": {
		files: []string{"ephemeral-resources/autodevops_registry_credentials/ephemeral-resource_vault.tf"},
		says:  []string{"Plan: 2 to add", "sealed_credentials = (known after apply)", "data_json_wo "},
	},
	"function docker_config_json": {
		files: []string{"functions/docker_config_json/function.tf"},
		with: `
resource "autodevops_registry_access" "shop" {
  project = "acme/shop"
}
resource "autodevops_registry_access" "worker" {
  project = "acme/worker"
}
`,
		says: []string{"Plan: 3 to add"},
	},
	"function registry_access_required": {
		files: []string{"functions/registry_access_required/function.tf"},
		says:  []string{`reason      = "auto_devops_members_only"`, "required    = true"},
	},
	"fleet": {
		files:     []string{"modules/fleet/*.tf"},
		variables: []string{`projects={"acme/shop"={namespaces=["shop"]},"acme/worker"={namespaces=["shop","worker"]}}`},
		says:      []string{"Plan: 4 to add", `kubernetes_secret_v1.this["shop"]`, `autodevops_registry_access.this["acme/worker"]`},
	},
	"adopt": {
		files:     []string{"modules/adopt/*.tf"},
		variables: []string{"group=acme"}, says: []string{"Plan: 4 to add"},
	},
	"policy": {
		files: []string{"policy/checks.tf"}, variables: []string{`projects={"acme/shop"={}}`},
		says: []string{"Plan: 1 to add"},
	},
	"pipeline in GitLab":       {files: []string{"pipelines/gitlab/main.tf"}, validate: true},
	"Flux":                     {files: []string{"pipelines/flux/main.tf"}, variables: []string{"project=acme/shop"}, says: []string{"Plan: 2 to add"}},
	"cluster, kubeconfig":      {files: []string{"clusters/kubeconfig.tf", resources + "resource.tf"}, says: []string{"Plan: 2 to add"}},
	"cluster, agent in a job":  {files: []string{"clusters/agent_in_a_job.tf", resources + "resource.tf"}, says: []string{"Plan: 2 to add"}},
	"cluster, agent elsewhere": {files: []string{"clusters/agent_elsewhere.tf", resources + "resource.tf"}, variables: []string{"agent_id=7", "agent_token=x"}, says: []string{"Plan: 2 to add"}},
	"backend http":             {files: []string{"pipelines/state/backend_http.tf"}, validate: true},
	"backend pg":               {files: []string{"pipelines/state/backend_pg.tf"}, validate: true},
	"backend kubernetes":       {files: []string{"pipelines/state/backend_kubernetes.tf"}, validate: true},
	"before a migration":       {files: []string{"pipelines/migration/1_before.tf"}, says: []string{"Plan: 3 to add"}},
	"policy, permanent":        {files: []string{"policy/checks.tf"}, variables: []string{`projects={"acme/shop"={permanent=true}}`}, refuses: "permanent tokens outlive"},
	"policy, two years":        {files: []string{"policy/checks.tf"}, variables: []string{`projects={"acme/shop"={rotation={expiration_days=730}}}`}, refuses: "a year at most"},
	"policy, writing":          {files: []string{"policy/checks.tf"}, variables: []string{`projects={"acme/shop"={scopes=["read_registry","write_registry"]}}`}, refuses: "only pulls"},
	"policy, no overlap":       {files: []string{"policy/checks.tf"}, variables: []string{`projects={"acme/shop"={rotation={overlap_days=0}}}`}, refuses: "without an overlap"},
	"testing": {
		files: []string{"testing/*.tf"}, variables: []string{"project=acme/shop", "namespace=shop"},
		says: []string{"Plan: 2 to add", "data_wo "},
	},
}

// world is a GitLab for the examples.
type world struct {
	*gitlabtest.Server

	group    *gitlabtest.Group
	projects []*gitlabtest.Project
	shop     *gitlabtest.Project
	token    gitlabtest.Token
}

func newWorld(t *testing.T) (w *world, env []string) {
	t.Helper()
	w = &world{Server: gitlabtest.New(t, gitlabtest.WithClock(gitlabtest.NewClock(time.Now())))}
	w.group = w.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	for _, path := range []string{"acme/shop", "acme/worker", "acme/billing", "acme/catalog"} {
		p := w.CreateProject(path, gitlabtest.ProjectOptions{})
		w.projects = append(w.projects, p)
		if path == "acme/shop" {
			w.shop = p
		}
	}
	token := w.CreateAccessToken(w.GroupMember(w.group, gitlabtest.Maintainer), "api")
	return w, []string{"GITLAB_BASE_URL=" + w.URL, "GITLAB_TOKEN=" + token}
}

// written is an example's text, with the world's addresses and numbers for its own.
func (w *world) written(text string) string {
	pairs := []string{"https://gitlab.example.com", w.URL}
	if strings.Contains(text, "import {") {
		if w.token.ID == 0 {
			w.token = w.CreateDeployToken(w.shop, access.GitLabName, "gitlab+deploy-token", w.Clock.Now().AddDate(1, 0, 0), "read_registry")
		}
		pairs = append(pairs, "acme/shop:42", fmt.Sprintf("acme/shop:%d", w.token.ID), "project_id = 7", fmt.Sprintf("project_id = %d", w.shop.ID))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

const sources = `
terraform {
  required_providers {
    autodevops = { source = "autodevops/autodevops" }
    kubernetes = { source = "hashicorp/kubernetes" }
    gitlab     = { source = "gitlabhq/gitlab" }
    time       = { source = "hashicorp/time" }
  }
}
`

// shopAccess is the smallest configuration with an access.
const shopAccess = sources + `
resource "autodevops_registry_access" "shop" {
  project = "acme/shop"
}
`

// house is what all tests share: a CLI, and a folder that it installs providers from.
var house struct{ cli, configFile, provider string }

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "examples")
	if err == nil {
		err = furnish(folder)
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "examples:", err)
	}
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

func furnish(folder string) (err error) {
	if house.cli, err = terraform.Find(); err != nil {
		return err
	}
	build := func(name, dir, pkg string) (string, error) {
		binary := filepath.Join(folder, name)
		cmd := exec.CommandContext(context.Background(), "go", "build", "-o", binary, pkg)
		cmd.Dir = dir
		out, failure := cmd.CombinedOutput()
		if failure != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, failure, out)
		}
		return binary, nil
	}
	ours, err := build("terraform-provider-autodevops", "../../..", ".")
	other, err2 := build("stand-in-provider", "..", "./cmd/stand-in-provider")
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	house.provider = ours
	house.configFile, err = terraform.Mirror(folder,
		terraform.Plugin{Source: "autodevops/autodevops", Version: "0.1.0", Binary: ours},
		terraform.Plugin{Source: "hashicorp/kubernetes", Version: "2.38.0", Binary: other},
		terraform.Plugin{Source: "hashicorp/vault", Version: "5.4.0", Binary: other},
		terraform.Plugin{Source: "gitlabhq/gitlab", Version: "18.0.0", Binary: other},
		terraform.Plugin{Source: "hashicorp/time", Version: "0.13.0", Binary: other})
	return err
}

// installed is a CLI in a folder of its own.
func installed(t *testing.T, env ...string) *terraform.CLI {
	t.Helper()
	cli, err := terraform.NewInstalled(house.cli, house.configFile, env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cli.Close)
	return cli
}

func run(t *testing.T, cli *terraform.CLI, args ...string) string {
	t.Helper()
	out, err := cli.Run(t.Context(), args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// isTofu reports which CLI it is.
func isTofu(t *testing.T) bool {
	t.Helper()
	return strings.HasPrefix(run(t, installed(t), "version"), "OpenTofu")
}

func TestExamples(t *testing.T) {
	t.Parallel()
	tofu := isTofu(t)
	for name, x := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if x.identity && !tofu {
				if version := run(t, installed(t), "version"); strings.HasPrefix(version, "Terraform v1.11.") {
					t.Skip("identities need Terraform 1.12 or OpenTofu 1.12")
				}
			}
			w, env := newWorld(t)
			if x.also != nil {
				x.also(w)
			}
			cli := installed(t, env...)
			text := x.with
			for _, file := range matches(t, x.files) {
				text += w.written(textOf(t, file)) + "\n"
			}
			if !strings.Contains(text, "required_providers") {
				text += sources
			}
			write(t, cli, text)
			if x.validate {
				run(t, cli, "init", "-backend=false", "-input=false")
				run(t, cli, "validate", "-no-color")
				return
			}
			run(t, cli, "init", "-input=false")
			args := []string{"plan", "-input=false", "-no-color"}
			for _, variable := range x.variables {
				args = append(args, "-var="+variable)
			}
			// However the CLI wraps and aligns its lines.
			if x.refuses != "" {
				if _, err := cli.Run(t.Context(), args...); err == nil || !strings.Contains(squeezed(err.Error()), x.refuses) {
					t.Errorf("the plan fails with %v", err)
				}
				return
			}
			plan := squeezed(run(t, cli, args...))
			for _, want := range x.says {
				if !strings.Contains(plan, squeezed(want)) {
					t.Errorf("the plan does not say %q:\n%s", want, plan)
				}
			}
		})
	}
}

// textOf is what a file of the examples says.
func textOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write writes a configuration.
func write(t *testing.T, cli *terraform.CLI, config string) {
	t.Helper()
	if err := cli.Write(config); err != nil {
		t.Fatal(err)
	}
}

func squeezed(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "│", " ")), " ")
}

func matches(t *testing.T, patterns []string) (files []string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no example %s: %v", pattern, err)
		}
		for _, path := range found {
			rel, _ := filepath.Rel(root, path)
			files = append(files, rel)
		}
	}
	return files
}

// TestExamples_complete: no configuration is left out.
func TestExamples_complete(t *testing.T) {
	t.Parallel()
	planned := []string{"pipelines/migration/2_after.tf"} // TestMigration
	for _, x := range all {
		planned = append(planned, matches(t, x.files)...)
	}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if filepath.Ext(path) == ".tf" && !slices.Contains(planned, rel) {
			t.Errorf("%s is planned by no test", rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestExamples_ownTests runs the tests that examples have.
func TestExamples_ownTests(t *testing.T) {
	t.Parallel()
	if isTofu(t) {
		t.Skip("OpenTofu cannot read mocks from a file, nor override one instance of many")
	}
	for _, dir := range []string{"modules/fleet", "testing"} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			cli := installed(t)
			if err := os.CopyFS(filepath.Join(cli.Dir, "examples"), os.DirFS(root)); err != nil {
				t.Fatal(err)
			}
			cli.Dir = filepath.Join(cli.Dir, "examples", dir)
			run(t, cli, "init", "-input=false")
			out := run(t, cli, "test", "-no-color")
			if !strings.Contains(out, "Success!") || strings.Contains(out, " 0 passed") {
				t.Errorf("got %s", out)
			}
		})
	}
}
