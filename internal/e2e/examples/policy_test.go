package examples_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
)

// change is what a merge request does to an access, and what the policy says of it.
type change struct {
	// before is applied first; empty is no access.
	before, after string
	// does happens in between.
	does func(*world)
	// replace asks for a replacement of the resource.
	replace bool
	// denies is what the policy's message has; empty allows.
	denies string
	// approved: the label allows it.
	approved bool
	// replacement: the label for replacements allows it, too.
	replacement bool
}

const createFirst = `
  lifecycle {
    create_before_destroy = true
  }`

var changes = map[string]change{
	"a new access":           {after: `project = "acme/shop"`},
	"a permanent token":      {after: `project = "acme/shop"` + "\n permanent = true", denies: "permanent tokens"},
	"two years":              {after: `project = "acme/shop"` + "\n rotation = { expiration_days = 730 }", denies: "tokens live for 730 days"},
	"a scope that writes":    {after: `project = "acme/shop"` + "\n" + `scopes = ["read_registry", "write_registry"]`, denies: "write_registry is more than"},
	"an unknown lifetime":    {after: `project = "acme/shop"` + "\n rotation = { expiration_days = terraform_data.later.output }", denies: "rotation is not known yet"},
	"nothing":                {before: `project = "acme/shop"`, after: `project = "acme/shop"`},
	"a rotation":             {before: `project = "acme/shop"`, after: `project = "acme/shop"` + "\n" + `rotate_when_changed = { incident = "1" }`},
	"a rotation, no overlap": {before: `project = "acme/shop"`, after: `project = "acme/shop"` + "\n" + `rotate_when_changed = { incident = "1" }` + "\n rotation = { overlap_days = 0 }", denies: "overlap_days = 0"},
	"a removal":              {before: `project = "acme/shop"`, denies: "revoked at once", approved: true},
	"another project":        {before: `project = "acme/shop"`, after: `project = "acme/worker"`, denies: "revoked at once", approved: true},
	"a replacement": {
		before: `project = "acme/shop"`, after: `project = "acme/shop"` + createFirst, replace: true,
		denies: "revoked after the new one is published", approved: true, replacement: true,
	},
	"a replacement, destroyed first": {before: `project = "acme/shop"`, after: `project = "acme/shop"`, replace: true, denies: "revoked at once", approved: true},
	"another project, created first": {before: `project = "acme/shop"` + createFirst, after: `project = "acme/worker"` + createFirst, denies: "revoked at once", approved: true},
	"mode never":                     {before: `project = "acme/shop"`, after: `project = "acme/shop"` + "\n" + `mode = "never"`, denies: "mode ends", approved: true},
	"a stated fact":                  {before: `project = "acme/shop"`, after: `project = "acme/shop"` + "\n auto_devops_enabled = false", denies: "auto_devops_enabled ends", approved: true},
	"mode always is removed": {
		before: `project = "acme/shop"` + "\n" + `mode = "always"`, after: `project = "acme/shop"`, denies: "mode ends", approved: true,
		does: func(w *world) {
			off := false
			w.SaveAutoDevOps(w.shop, &off)
		},
	},
	"an unknown scope": {after: `project = "acme/shop"` + "\n" + `scopes = ["read_registry", terraform_data.later.output]`, denies: "scopes is not known yet"},
	"an unknown fact":  {before: `project = "acme/shop"`, after: `project = "acme/shop"` + "\n visibility = terraform_data.later.output", denies: "may end it", approved: true},
	"Auto DevOps goes off": {before: `project = "acme/shop"`, after: `project = "acme/shop"`, does: func(w *world) {
		off := false
		w.SaveAutoDevOps(w.shop, &off)
	}},
}

// TestPolicy lets the policy engine judge plans that the real CLI makes.
func TestPolicy(t *testing.T) {
	t.Parallel()
	opa := os.Getenv("OPA")
	if opa == "" {
		t.Skip("no policy engine: make policy builds one")
	}
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, env := newWorld(t)
			cli := installed(t, env...)
			configure(t, cli, c.before)
			run(t, cli, "init", "-input=false")
			run(t, cli, "apply", "-auto-approve", "-input=false")
			if c.does != nil {
				c.does(w)
			}
			configure(t, cli, c.after)
			args := []string{"plan", "-input=false", "-out=plan.bin"}
			if c.replace {
				args = append(args, "-replace=autodevops_registry_access.shop")
			}
			run(t, cli, args...)
			plan := filepath.Join(cli.Dir, "plan.json")
			if err := os.WriteFile(plan, []byte(run(t, cli, "show", "-json", "plan.bin")), 0o600); err != nil {
				t.Fatal(err)
			}

			got := judge(t, opa, plan)
			if c.denies == "" && len(got) > 0 || c.denies != "" && !slices.ContainsFunc(got, func(msg string) bool { return strings.Contains(msg, c.denies) }) {
				t.Errorf("the policy says %q", got)
			}
			labelled := judge(t, opa, plan, "revoke-registry-access")
			if (len(labelled) == 0) != (c.denies == "" || c.approved) {
				t.Errorf("with the label, the policy says %q", labelled)
			}
			labelled = judge(t, opa, plan, "replace-registry-access")
			if (len(labelled) == 0) != (c.denies == "" || c.replacement) {
				t.Errorf("with the label for replacements, the policy says %q", labelled)
			}
		})
	}
}

func configure(t *testing.T, cli *terraform.CLI, arguments string) {
	t.Helper()
	text := sources + `
resource "terraform_data" "later" {
  count = ` + map[bool]string{true: "1", false: "0"}[strings.Contains(arguments, "later")] + `
  input = 30
}
`
	if arguments != "" {
		text += "resource \"autodevops_registry_access\" \"shop\" {\n" + strings.ReplaceAll(arguments, "later.output", "later[0].output") + "\n}\n"
	}
	write(t, cli, text)
}

// judge returns what the policy denies.
func judge(t *testing.T, opa, plan string, labels ...string) (denied []string) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "labels.json")
	text, err := json.Marshal(map[string][]string{"labels": append([]string{}, labels...)})
	if err == nil {
		err = os.WriteFile(data, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), opa, "eval", "--format", "raw", "--data", root+"/policy/registry_access.rego", "--data", data,
		"--input", plan, "data.registry_access.deny").Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal(out, &denied); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return denied
}
