package examples_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
)

// TestPolicy_pipeline runs the scripts of the example pipeline: a merge request's plan, the
// apply after it, another one at night, a merge request that ends registry access, and an
// old job that somebody repeats.
func TestPolicy_pipeline(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	r, state, config := pipelineIn(t, w, env)
	first := r.commit("two projects")
	apply := []string{"GITLAB_APPLY_TOKEN=" + state.maintainer, "CI_COMMIT_SHA=" + first}

	out, err := r.run(r.pipeline.Plan, "CI_COMMIT_SHA="+first)
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
	if out, err = r.run(r.pipeline.Apply, apply...); err != nil || !strings.Contains(out, "4 added") {
		t.Fatalf("the apply: %v\n%s", err, out)
	}
	if state.locked == 0 || len(w.ActiveTokens(w.shop)) != 1 {
		t.Errorf("%d locks, %d tokens", state.locked, len(w.ActiveTokens(w.shop)))
	}
	if out, err = r.run(r.pipeline.Apply, apply...); err != nil || !strings.Contains(out, "No changes.") {
		t.Fatalf("the nightly apply: %v\n%s", err, out)
	}
	for _, secret := range w.Secrets() {
		if strings.Contains(out, secret) {
			t.Error("a job printed a secret")
		}
	}

	// Somebody takes the shop out, and the other project is due for a rotation.
	r.put("main.tf", strings.Replace(config, `"acme/shop"   = { namespace = "shop-production" }`, "", 1))
	second := r.commit("without the shop")
	if out, err = r.run(r.pipeline.Plan, "CI_COMMIT_SHA="+second); err == nil || !strings.Contains(out, "revoked at once") {
		t.Errorf("the policy lets registry access end: %v\n%s", err, out)
	}
	w.RevokeInSettings(w.ActiveTokens(w.projects[1])[0].ID)
	apply[1] = "CI_COMMIT_SHA=" + second
	if out, err = r.run(r.pipeline.Apply, apply...); err == nil || len(w.ActiveTokens(w.shop)) != 1 || !strings.Contains(out, "denied yes") {
		t.Errorf("an apply ends registry access, or does not fail: %v\n%s", err, out)
	}
	if live := w.ActiveTokens(w.projects[1]); len(live) != 1 {
		t.Errorf("a denied project blocks another one, which has %d tokens:\n%s", len(live), out)
	}
	r.git("checkout", "--quiet", "--force", second)
	if out, err = r.run(r.pipeline.Plan, "CI_COMMIT_SHA="+second, "CI_MERGE_REQUEST_LABELS=later,revoke-registry-access"); err != nil {
		t.Errorf("the label approves nothing: %v\n%s", err, out)
	}
	if out, err = r.run(r.pipeline.Revoke, apply[0], "CI_COMMIT_SHA="+first); err == nil || !strings.Contains(out, "not the newest commit") || len(w.ActiveTokens(w.shop)) != 1 {
		t.Errorf("an old job that is repeated: %v\n%s", err, out)
	}
	if out, err = r.run(r.pipeline.Revoke, apply...); err != nil || len(w.ActiveTokens(w.shop)) != 0 {
		t.Errorf("the approved apply: %v\n%s", err, out)
	}
}

// TestPolicy_pipelineReplaces: the job for leaked tokens replaces one, and nothing else ends.
func TestPolicy_pipelineReplaces(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	r, state, _ := pipelineIn(t, w, env)
	run := []string{"CI_COMMIT_SHA=" + r.commit("two projects"), "GITLAB_APPLY_TOKEN=" + state.maintainer}
	if out, err := r.run(r.pipeline.Apply, run...); err != nil {
		t.Fatalf("the apply: %v\n%s", err, out)
	}
	leaked := w.ActiveTokens(w.shop)[0]
	out, err := r.run(r.pipeline.Replace, append(run, `REPLACE=autodevops_registry_access.this["acme/shop"]`)...)
	if live := w.ActiveTokens(w.shop); err != nil || len(live) != 1 || live[0].ID == leaked.ID {
		t.Errorf("the replacement: %v, %d tokens\n%s", err, len(live), out)
	}
	// With a configuration that would destroy first, it is refused.
	r.put("main.tf", w.written(strings.Replace(textOf(t, "pipelines/gitlab/main.tf"), "create_before_destroy = true", "create_before_destroy = false", 1)))
	run[0] = "CI_COMMIT_SHA=" + r.commit("destroys first")
	kept := w.ActiveTokens(w.shop)[0]
	out, err = r.run(r.pipeline.Replace, append(run, `REPLACE=autodevops_registry_access.this["acme/shop"]`)...)
	if err == nil || !strings.Contains(out, "revoked at once") || !w.CanPull(w.shop, kept.Username, kept.Secret) {
		t.Errorf("a replacement that destroys first: %v\n%s", err, out)
	}
}

// TestPolicy_pipelineNeedsMaintainer: the token of a developer's job reads the state and
// cannot lock it, as in GitLab.
func TestPolicy_pipelineNeedsMaintainer(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	r, state, _ := pipelineIn(t, w, env)
	sha := "CI_COMMIT_SHA=" + r.commit("two projects")
	if out, err := r.run(r.pipeline.Plan, sha); err != nil {
		t.Fatalf("the plan: %v\n%s", err, out)
	}
	if out, err := r.run(r.pipeline.Apply, sha, "GITLAB_APPLY_TOKEN="+state.developer); err == nil || !strings.Contains(out, "invalid auth") || w.Writes() > 0 {
		t.Errorf("an apply without the role: %v\n%s", err, out)
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
	if p.Replace.Environment == "" || len(p.Replace.Rules) != 1 || p.Replace.Rules[0].When != "manual" {
		t.Error("replacements happen by themselves")
	}
	if len(p.Alert.Rules) != 1 || p.Alert.Rules[0].When != "on_failure" || p.Alert.Stage != ".post" {
		t.Error("a failed schedule alerts nobody")
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
		if step == 1 && (!strings.Contains(plan, "Plan: 1 to import, 0 to add, 2 to change, 0 to destroy") || !strings.Contains(plan, fmt.Sprintf("Take-over of token %d of acme/shop", w.token.ID))) {
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
