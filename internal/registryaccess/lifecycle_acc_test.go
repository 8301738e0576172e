package registryaccess_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// credentials reads the one pair of a docker config.
func credentials(config string) (username, password string) {
	var parsed struct {
		Auths map[string]struct{ Username, Password string }
	}
	if json.Unmarshal([]byte(config), &parsed) != nil {
		return "", ""
	}
	for _, auth := range parsed.Auths {
		return auth.Username, auth.Password
	}
	return "", ""
}

func TestAccLifecycle_createRotateRevoke(t *testing.T) {
	s := newFixture(t)
	s.run(
		resource.TestStep{
			Config: s.config(),
			ConfigPlanChecks: expect(
				action(plancheck.ResourceActionCreate),
				plans("required", yes()), plans("reason", text("auto_devops_private")), plans("generation", number(1)),
				plans("last_change", knownvalue.StringRegexp(regexp.MustCompile(`^Minted: auto_devops_private\.$`))),
				plans("project_path", text("acme/shop")), plans("registry", text("registry.gitlab.example.com")),
				plansUnknown("token"), plansUnknown("docker_config_json"), plansUnknown("expires_at"),
				plancheck.ExpectSensitiveValue(address, at("token")), plancheck.ExpectSensitiveValue(address, at("docker_config_json")),
			),
			ConfigStateChecks: []statecheck.StateCheck{
				has("created_at", text("2026-01-15T10:00:00Z")), has("expires_at", text("2027-01-15T00:00:00Z")),
				has("rotate_at", text("2026-12-16T00:00:00Z")), has("ends_at", null()),
				has("retired_tokens", length(0)), has("unmanaged_token_ids", length(0)),
				has("username", knownvalue.StringRegexp(regexp.MustCompile(`^autodevops-[0-9]+-[a-z0-9]{8}$`))),
			},
			Check: resource.ComposeTestCheckFunc(s.active(1), s.published()),
		},
		resource.TestStep{
			PreConfig:        func() { s.gitlab.Clock.AdvanceDays(100); s.gitlab.ForgetRequests() },
			Config:           s.config(),
			ConfigPlanChecks: expectNothing(),
			Check: s.check(func() error {
				if n := s.gitlab.Writes(); n != 0 {
					return fmt.Errorf("%d writes in a plan with nothing due", n)
				}
				return nil
			}),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.Clock.Set(s.gitlab.Clock.Now().AddDate(0, 0, 235)) },
			Config:    s.config(),
			ConfigPlanChecks: expect(
				action(plancheck.ResourceActionUpdate), secretChanges(),
				plans("generation", number(2)), plans("required", yes()),
				plans("last_change", knownvalue.StringRegexp(regexp.MustCompile(`^Rotated: token [0-9]+ expires on 2027-01-15\.$`))),
				plansUnknown("token"), plansUnknown("token_id"), plansUnknown("retired_tokens"),
			),
			ConfigStateChecks: []statecheck.StateCheck{has("retired_tokens", length(1)), has("generation", number(2))},
			Check:             resource.ComposeTestCheckFunc(s.active(2), s.published()),
		},
		resource.TestStep{
			PreConfig:        func() { s.gitlab.Clock.AdvanceDays(6) },
			Config:           s.config(),
			ConfigPlanChecks: expectNothing(),
			Check:            s.active(2),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.Clock.AdvanceDays(1) },
			Config:    s.config(),
			ConfigPlanChecks: expect(
				action(plancheck.ResourceActionUpdate), secretUntouched(),
				plans("retired_tokens", length(0)), plans("generation", number(2)),
			),
			ConfigStateChecks: []statecheck.StateCheck{has("retired_tokens", length(0))},
			Check:             resource.ComposeTestCheckFunc(s.active(1), s.published()),
		},
	)
	if left := s.gitlab.Tokens(s.project); len(left) != 0 {
		t.Errorf("destroy left %d tokens", len(left))
	}
}

func TestAccLifecycle_windDownCancelledThenEnded(t *testing.T) {
	s := newFixture(t)
	s.run(
		resource.TestStep{Config: s.config(), Check: s.published()},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.False) },
			Config:    s.config(),
			ConfigPlanChecks: expect(
				action(plancheck.ResourceActionUpdate), secretUntouched(),
				plans("required", no()), plans("reason", text("auto_devops_disabled")), plansUnknown("ends_at"),
				plans("last_change", text("Winding down: auto_devops_disabled.")),
			),
			ConfigStateChecks: []statecheck.StateCheck{has("ends_at", text("2026-01-22T10:00:00Z"))},
			Check:             resource.ComposeTestCheckFunc(s.active(1), s.published()),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.True); s.gitlab.Clock.AdvanceDays(2) },
			Config:    s.config(),
			ConfigPlanChecks: expect(
				action(plancheck.ResourceActionUpdate), secretUntouched(),
				plans("required", yes()), plans("ends_at", null()), plans("generation", number(1)),
				plans("last_change", knownvalue.StringRegexp(regexp.MustCompile(`^Wind-down cancelled: `))),
			),
			Check: resource.ComposeTestCheckFunc(s.active(1), s.published()),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.False) },
			Config:    s.config(),
		},
		resource.TestStep{
			PreConfig:        func() { s.gitlab.Clock.AdvanceDays(6) },
			Config:           s.config(),
			ConfigPlanChecks: expectNothing(),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.Clock.AdvanceDays(2) },
			Config:    s.config(),
			ConfigPlanChecks: expect(
				action(plancheck.ResourceActionUpdate), secretChanges(), plans("token", null()), plans("token_id", null()),
				plans("last_change", knownvalue.StringRegexp(regexp.MustCompile(`^Revoked: wind-down over on 2026-01-24\.$`))),
			),
			ConfigStateChecks: []statecheck.StateCheck{has("docker_config_json", text(`{"auths":{}}`))},
			Check:             s.active(0),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.True) },
			Config:    s.config(),
			ConfigPlanChecks: expect(plans("generation", number(2)),
				plans("last_change", knownvalue.StringRegexp(regexp.MustCompile(`^Minted again: `)))),
			Check: resource.ComposeTestCheckFunc(s.active(1), s.published()),
		},
	)
}

func TestAccLifecycle_projectTurnsPublic(t *testing.T) {
	s := newFixture(t)
	s.run(
		resource.TestStep{Config: s.config()},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetVisibility(s.project, "public") },
			Config:    s.config(),
			ConfigPlanChecks: expect(
				action(plancheck.ResourceActionUpdate), secretChanges(),
				plans("required", no()), plans("reason", text("anonymous_pull")), plans("token", null()), plansUnknown("retired_tokens"),
			),
			ConfigStateChecks: []statecheck.StateCheck{has("docker_config_json", text(`{"auths":{}}`)), has("retired_tokens", length(1))},
			Check:             s.active(1),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.Clock.AdvanceDays(7) },
			Config:    s.config(),
			ConfigPlanChecks: expect(action(plancheck.ResourceActionUpdate), secretUntouched(),
				plans("retired_tokens", length(0))),
			Check: s.active(0),
		},
	)
}
