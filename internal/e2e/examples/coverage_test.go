package examples_test

import (
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// TestCoverage_alert: a failed check leaves the plan empty, and the page's command alerts.
func TestCoverage_alert(t *testing.T) {
	t.Parallel()
	w, env := newWorld(t)
	cli := installed(t, env...)
	write(t, cli, sources+w.written(textOf(t, "data-sources/autodevops_registry_coverage/data-source.tf")))
	run(t, cli, "init", "-input=false")
	alert := snippet(t, "../templates/data-sources/registry_coverage.md.tmpl", "halt_error")

	out, err := shell(t, cli, env, strings.Replace(alert, "terraform plan", "terraform plan -detailed-exitcode", 1))
	if err == nil || !strings.Contains(out, "No changes.") {
		t.Errorf("uncovered projects: %v\n%s", err, out)
	}
	const alarm = "check.every_project_can_be_pulled: No working deploy token: acme/billing, acme/catalog, acme/shop, acme/worker\n"
	if !strings.HasSuffix(out, "\n"+alarm) {
		t.Errorf("the alert does not end with %q:\n%s", alarm, out)
	}

	for _, p := range w.projects {
		w.CreateDeployToken(p, access.DefaultName, access.NewUsername(p.ID), w.Clock.Now().Add(300*24*time.Hour), "read_registry")
	}
	if out, err := shell(t, cli, env, alert); err != nil || strings.Contains(out, "check.") {
		t.Errorf("all projects are covered: %v\n%s", err, out)
	}
}
