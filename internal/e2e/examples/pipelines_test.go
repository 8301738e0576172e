package examples_test

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// stateServer keeps and locks a state as GitLab does, for Terraform's http backend.
type stateServer struct {
	mu           sync.Mutex
	state, lock  []byte
	password     string
	locked, held int
}

func newStateServer(t *testing.T) (s *stateServer, url string) {
	t.Helper()
	s = &stateServer{password: "job-token"}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

// ServeHTTP implements http.Handler.
func (s *stateServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, password, _ := r.BasicAuth(); subtle.ConstantTimeCompare([]byte(password), []byte(s.password)) == 0 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var lock struct{ ID string }
	_ = json.Unmarshal(s.lock, &lock)
	switch isLock := strings.HasSuffix(r.URL.Path, "/lock"); {
	case isLock && r.Method == http.MethodPost && s.lock != nil:
		s.held++
		w.WriteHeader(http.StatusLocked)
		_, _ = w.Write(s.lock)
	case isLock && r.Method == http.MethodPost:
		s.lock = body
		s.locked++
	case isLock && r.Method == http.MethodDelete:
		s.lock = nil
	case r.Method == http.MethodGet && s.state == nil:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		_, _ = w.Write(s.state)
	case r.Method == http.MethodPost && s.lock != nil && r.URL.Query().Get("ID") != lock.ID:
		w.WriteHeader(http.StatusConflict)
	case r.Method == http.MethodPost:
		s.state = body
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// pipeline is what is needed of a .gitlab-ci.yml.
type pipeline struct {
	Stages    []string          `yaml:"stages"`
	Variables map[string]string `yaml:"variables"`
	Plan      job               `yaml:"plan"`
	Template  job               `yaml:".apply"`
	Apply     job               `yaml:"apply"`
	Revoke    job               `yaml:"apply-revocations"`
}

type job struct {
	Extends       string            `yaml:"extends"`
	Stage         string            `yaml:"stage"`
	Script        []string          `yaml:"script"`
	Variables     map[string]string `yaml:"variables"`
	ResourceGroup string            `yaml:"resource_group"`
	Environment   string            `yaml:"environment"`
	Rules         []struct{ When string }
	Artifacts     struct {
		Paths   []string          `yaml:"paths"`
		Reports map[string]string `yaml:"reports"`
	} `yaml:"artifacts"`
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(textOf(t, file)), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// runner runs a pipeline's jobs as GitLab's would.
type runner struct {
	*testing.T

	pipeline pipeline
	dir, bin string
	env      []string
}

// run runs a job's script.
func (r *runner) run(j job, more ...string) (string, error) {
	r.Helper()
	script := j.Script
	if j.Extends == ".apply" {
		script = r.pipeline.Template.Script
	}
	variables := []string{}
	for name, value := range j.Variables {
		variables = append(variables, name+"="+value)
	}
	for name, value := range r.pipeline.Variables {
		variables = append(variables, name+"="+os.Expand(value, func(name string) string { return r.variable(name) }))
	}
	cmd := exec.CommandContext(r.Context(), "sh", "-eu", "-c", strings.Join(script, "\n"))
	cmd.Dir = r.dir
	cmd.Env = slices.Concat([]string{"PATH=" + r.bin + ":" + os.Getenv("PATH"), "HOME=" + r.dir, "CHECKPOINT_DISABLE=1"}, r.env, variables, more)
	out, err := cmd.CombinedOutput()
	return colour.ReplaceAllString(string(out), ""), err
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

func (r *runner) variable(name string) string {
	for _, variable := range r.env {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// TestPolicy_pipeline runs the scripts of the example pipeline, with the state in a
// server that locks it: a merge request's plan, the apply after it, another one at
// night, a merge request that ends an access, and an old job that somebody repeats.
func TestPolicy_pipeline(t *testing.T) {
	t.Parallel()
	opa := os.Getenv("OPA")
	if opa == "" {
		t.Skip("no policy engine: make policy builds one")
	}
	w, env := newWorld(t)
	state, url := newStateServer(t)
	token := strings.TrimPrefix(env[1], "GITLAB_TOKEN=")
	planToken := w.CreateAccessToken(w.GroupMember(w.group, gitlabtest.Maintainer), "read_api")
	r := &runner{T: t, dir: t.TempDir(), bin: t.TempDir(), env: []string{
		"TF_CLI_CONFIG_FILE=" + house.configFile, "GITLAB_PLAN_TOKEN=" + planToken, "CI_JOB_TOKEN=" + state.password,
		"CI_API_V4_URL=" + url + "/api/v4", "CI_PROJECT_ID=42", "CI_MERGE_REQUEST_LABELS=",
		"CI_COMMIT_SHA=newest", "CI_DEFAULT_BRANCH=main",
	}}
	read(t, "pipelines/gitlab/.gitlab-ci.yml", &r.pipeline)
	for name, path := range map[string]string{"terraform": house.cli, "opa": opa} {
		if err := os.Symlink(path, filepath.Join(r.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(r.dir, name)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.bin, "git"), []byte("#!/bin/sh\nprintf 'newest\\trefs/heads/main\\n'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := w.written(textOf(t, "pipelines/gitlab/main.tf"))
	put("main.tf", config)
	put("policy/registry_access.rego", textOf(t, "policy/registry_access.rego"))
	apply := "GITLAB_APPLY_TOKEN=" + token

	out, err := r.run(r.pipeline.Plan)
	if err != nil || !strings.Contains(out, "Plan: 4 to add") {
		t.Fatalf("the plan of the merge request: %v\n%s", err, out)
	}
	report, err := os.ReadFile(filepath.Join(r.dir, "report.json"))
	if err != nil || strings.Join(strings.Fields(string(report)), "") != `{"create":4,"delete":0,"update":0}` {
		t.Errorf("the report is %s, %v", report, err)
	}
	if w.Writes() != 0 || state.locked != 0 {
		t.Errorf("a merge request wrote: %d requests to GitLab, %d locks", w.Writes(), state.locked)
	}
	if out, err = r.run(r.pipeline.Apply, apply); err != nil || !strings.Contains(out, "4 added") {
		t.Fatalf("the apply: %v\n%s", err, out)
	}
	if state.locked == 0 || len(w.ActiveTokens(w.shop)) != 1 {
		t.Errorf("%d locks, %d tokens", state.locked, len(w.ActiveTokens(w.shop)))
	}
	if out, err = r.run(r.pipeline.Apply, apply); err != nil || !strings.Contains(out, "No changes.") {
		t.Fatalf("the nightly apply: %v\n%s", err, out)
	}
	for _, secret := range w.Secrets() {
		if strings.Contains(out, secret) {
			t.Error("a job printed a secret")
		}
	}

	// Somebody takes the shop out.
	put("main.tf", strings.Replace(config, `"acme/shop"   = { namespace = "shop-production" }`, "", 1))
	if out, err = r.run(r.pipeline.Plan); err == nil || !strings.Contains(out, "revoked at once") {
		t.Errorf("the policy lets an access end: %v\n%s", err, out)
	}
	if out, err = r.run(r.pipeline.Apply, apply); err == nil || len(w.ActiveTokens(w.shop)) != 1 {
		t.Errorf("an apply ends an access: %v\n%s", err, out)
	}
	if out, err = r.run(r.pipeline.Plan, "CI_MERGE_REQUEST_LABELS=later,revoke-registry-access"); err != nil {
		t.Errorf("the label approves nothing: %v\n%s", err, out)
	}
	if out, err = r.run(r.pipeline.Revoke, apply, "CI_COMMIT_SHA=older"); err == nil || !strings.Contains(out, "not the newest commit") || len(w.ActiveTokens(w.shop)) != 1 {
		t.Errorf("an old job that is repeated: %v\n%s", err, out)
	}
	if out, err = r.run(r.pipeline.Revoke, apply); err != nil || len(w.ActiveTokens(w.shop)) != 0 {
		t.Errorf("the approved apply: %v\n%s", err, out)
	}
}

// TestPipeline_declares is what the runner above cannot show.
func TestPipeline_declares(t *testing.T) {
	t.Parallel()
	var p pipeline
	read(t, "pipelines/gitlab/.gitlab-ci.yml", &p)
	for _, j := range []job{p.Plan, p.Template} {
		if !slices.Contains(p.Stages, j.Stage) || len(j.Artifacts.Paths) > 0 {
			t.Errorf("stage %q, artifacts %v", j.Stage, j.Artifacts.Paths)
		}
	}
	if p.Template.ResourceGroup == "" {
		t.Error("two applies can run at once")
	}
	if p.Revoke.Environment == "" || len(p.Revoke.Rules) != 1 || p.Revoke.Rules[0].When != "manual" {
		t.Error("revocations happen by themselves")
	}
	var values struct {
		Image struct{ Secrets []struct{ Name string } }
	}
	read(t, "pipelines/gitlab/.gitlab/auto-deploy-values.yaml", &values)
	if len(values.Image.Secrets) != 1 || values.Image.Secrets[0].Name != "registry-access" {
		t.Errorf("the chart's values name %v", values.Image.Secrets)
	}
	var object struct {
		Kind string `yaml:"kind"`
		Spec struct {
			ApprovePlan string                  `yaml:"approvePlan"`
			Destroys    *bool                   `yaml:"destroyResourcesOnDeletion"`
			Vars        []struct{ Name string } `yaml:"vars"`
			ToSecret    struct {
				Outputs []string `yaml:"outputs"`
			} `yaml:"writeOutputsToSecret"`
		} `yaml:"spec"`
	}
	read(t, "pipelines/flux/terraform.yaml", &object)
	config := textOf(t, "pipelines/flux/main.tf")
	if spec := object.Spec; object.Kind != "Terraform" || spec.ApprovePlan != "auto" || spec.Destroys == nil || *spec.Destroys ||
		len(spec.Vars) == 0 || len(spec.ToSecret.Outputs) == 0 {
		t.Errorf("the object is %+v", object)
	}
	for _, v := range object.Spec.Vars {
		if !strings.Contains(config, fmt.Sprintf("variable %q", v.Name)) {
			t.Errorf("the configuration has no variable %s", v.Name)
		}
	}
	for _, output := range object.Spec.ToSecret.Outputs {
		if !strings.Contains(config, fmt.Sprintf("output %q", output)) {
			t.Errorf("the configuration has no output %s", output)
		}
	}
}

// TestEncryption: OpenTofu's encryption keeps the token out of the state file.
func TestEncryption(t *testing.T) {
	t.Parallel()
	if !isTofu(t) {
		t.Skip("only OpenTofu encrypts states")
	}
	w, env := newWorld(t)
	for _, encrypted := range []bool{false, true} {
		cli := installed(t, append(env, "TF_VAR_state_passphrase=correct horse battery staple")...)
		text := shopAccess
		if encrypted {
			text += textOf(t, "pipelines/state/encryption.tofu")
		}
		write(t, cli, text)
		run(t, cli, "init", "-input=false")
		run(t, cli, "apply", "-auto-approve", "-input=false")
		if plan := run(t, cli, "plan", "-input=false", "-no-color"); !strings.Contains(plan, "No changes.") {
			t.Errorf("encrypted %v: the plan is not empty:\n%s", encrypted, plan)
		}
		state, err := os.ReadFile(filepath.Join(cli.Dir, "terraform.tfstate"))
		if err != nil {
			t.Fatal(err)
		}
		tokens := w.ActiveTokens(w.shop)
		if found := strings.Contains(string(state), tokens[len(tokens)-1].Secret); found == encrypted {
			t.Errorf("encrypted %v: the token is in the state file: %v", encrypted, found)
		}
	}
}

// TestWriteOnly: with data_wo, the credentials are in the state of the access alone.
func TestWriteOnly(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	cli := installed(t, env...)
	write(t, cli, textOf(t, "testing/main.tf"))
	run(t, cli, "init", "-input=false")
	variables := []string{"-input=false", "-var=project=acme/shop", "-var=namespace=shop"}
	run(t, cli, append([]string{"apply", "-auto-approve"}, variables...)...)
	revision := secretOf(t, w, cli)

	// Credentials that are withdrawn reach the Secret, although no token is minted.
	w.SetVisibility(w.shop, "public")
	plan := squeezed(run(t, cli, append([]string{"plan", "-no-color"}, variables...)...))
	if !strings.Contains(plan, "kubernetes_secret_v1.registry will be updated in-place") {
		t.Errorf("the plan says\n%s", plan)
	}
	run(t, cli, append([]string{"apply", "-auto-approve"}, variables...)...)
	if now := secretOf(t, w, cli); now == revision || len(w.Tokens(w.shop)) != 1 {
		t.Errorf("%d tokens, and the Secret's revision goes from %s to %s", len(w.Tokens(w.shop)), revision, now)
	}
}

// secretOf looks into the state, and returns the Secret's revision.
func secretOf(t *testing.T, w *world, cli *terraform.CLI) string {
	t.Helper()
	var state struct {
		Values struct {
			RootModule struct {
				Resources []struct {
					Type   string
					Values map[string]any
				}
			} `json:"root_module"`
		}
	}
	if err := json.Unmarshal([]byte(run(t, cli, "show", "-json")), &state); err != nil {
		t.Fatal(err)
	}
	for _, r := range state.Values.RootModule.Resources {
		if r.Type != "kubernetes_secret_v1" {
			continue
		}
		text := fmt.Sprint(r.Values)
		for _, secret := range w.Secrets() {
			if strings.Contains(text, secret) {
				t.Error("the Secret's state holds a secret")
			}
		}
		return fmt.Sprint(r.Values["data_wo_revision"])
	}
	t.Fatal("there is no Secret in the state")
	return ""
}

// TestMigration: the old token goes on while the Secret gets the new one, and what
// managed it lets go of it without revoking it.
func TestMigration(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	cli := installed(t, env...)
	for step, file := range []string{"1_before.tf", "2_after.tf"} {
		write(t, cli, w.written(textOf(t, "pipelines/migration/"+file))+sources)
		run(t, cli, "init", "-input=false")
		plan := squeezed(run(t, cli, "plan", "-input=false", "-no-color"))
		if step == 1 && (!strings.Contains(plan, "Plan: 1 to import, 0 to add, 2 to change, 0 to destroy") || !strings.Contains(plan, "Take-over of token 7 of acme/shop")) {
			t.Errorf("the migration plans\n%s", plan)
		}
		run(t, cli, "apply", "-auto-approve", "-input=false")
	}
	if live := w.ActiveTokens(w.shop); len(live) != 2 {
		t.Errorf("%d tokens live after the migration, want the old one and the new one", len(live))
	}
	if plan := run(t, cli, "plan", "-input=false", "-no-color"); !strings.Contains(plan, "No changes.") {
		t.Errorf("the migration does not settle:\n%s", plan)
	}
}
