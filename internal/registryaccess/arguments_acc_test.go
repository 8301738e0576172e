package registryaccess_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func matches(expression string) knownvalue.Check {
	return knownvalue.StringRegexp(regexp.MustCompile(expression))
}

func TestAccArguments_thatMakeTheTokenAnotherOneRotateIt(t *testing.T) {
	for name, c := range map[string]struct{ arguments, story string }{
		"name":                {`name = "pull-secret"`, `^Rotated: name\.$`},
		"username":            {`username = "puller"`, `^Rotated: username\.$`},
		"scopes":              {`scopes = ["read_registry", "read_repository"]`, `^Rotated: scopes\.$`},
		"rotate_when_changed": {`rotate_when_changed = { incident = "42" }`, `^Rotated: rotate_when_changed \(incident\)\.$`},
		"several":             {"name = \"a\"\n  username = \"b\"", `^Rotated: name, username\.$`},
		"shorter lifetime":    {`rotation = { expiration_days = 90 }`, `^Rotated: expiration_days is shorter\.$`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t)
			id := statecheck.CompareValue(compare.ValuesDiffer())
			s.run(
				resource.TestStep{Config: s.config(), ConfigStateChecks: []statecheck.StateCheck{id.AddStateValue(address, at("token_id"))}},
				resource.TestStep{
					Config: s.config(c.arguments),
					ConfigPlanChecks: expect(action(plancheck.ResourceActionUpdate), secretChanges(),
						plans("generation", number(2)), plans("last_change", matches(c.story))),
					ConfigStateChecks: []statecheck.StateCheck{id.AddStateValue(address, at("token_id")), has("retired_tokens", length(1))},
					Check:             resource.ComposeTestCheckFunc(s.active(2), s.published()),
				},
			)
		})
	}
}

func TestAccArguments_thatConcernNoTokenLeaveItAlone(t *testing.T) {
	for name, arguments := range map[string]string{
		"verify":              `verify = false`,
		"timeouts":            "timeouts = {\n    read = \"1m\"\n  }",
		"overlap":             `rotation = { overlap_days = 3 }`,
		"window":              `rotation = { rotate_before_days = 60 }`,
		"longer lifetime":     `rotation = { expiration_days = 700 }`,
		"permanent":           `permanent = true`,
		"on_not_required":     `on_not_required = "keep"`,
		"empty keepers":       `rotate_when_changed = {}`,
		"id instead of path":  ``,
		"the same visibility": `visibility = "private"`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newFixture(t)
			same := statecheck.CompareValue(compare.ValuesSame())
			config := s.config(arguments)
			if name == "id instead of path" {
				config = s.configFor(`"` + itoa(s.project.ID) + `"`)
			}
			s.run(
				resource.TestStep{Config: s.config(), ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, at("token_id"))}},
				resource.TestStep{
					Config:            config,
					ConfigPlanChecks:  expect(action(plancheck.ResourceActionUpdate), secretUntouched(), plans("generation", number(1))),
					ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, at("token_id"))},
					Check:             s.active(1),
				},
			)
		})
	}
}

func TestAccArguments_windowMovesNowAndCountsFromTheNextPlan(t *testing.T) {
	s := newFixture(t)
	s.run(
		resource.TestStep{Config: s.config()},
		resource.TestStep{
			PreConfig:        func() { s.gitlab.Clock.AdvanceDays(320) },
			Config:           s.config(`rotation = { rotate_before_days = 60 }`),
			ConfigPlanChecks: expect(plans("rotate_at", text("2026-11-16T00:00:00Z")), plans("generation", number(1))),
			Check:            s.active(1), ExpectNonEmptyPlan: true,
		},
		resource.TestStep{
			Config:           s.config(`rotation = { rotate_before_days = 60 }`),
			ConfigPlanChecks: expect(plans("generation", number(2))),
		},
	)
}

func TestAccArguments_permanent(t *testing.T) {
	s := newFixture(t)
	s.run(
		resource.TestStep{
			Config:            s.config(`permanent = true`),
			ConfigPlanChecks:  expect(plans("expires_at", null()), plans("rotate_at", null())),
			ConfigStateChecks: []statecheck.StateCheck{has("expires_at", null()), has("rotate_at", null())},
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.Clock.AdvanceDays(5000) },
			Config:    s.config(`permanent = true`), ConfigPlanChecks: expectNothing(),
		},
		resource.TestStep{
			Config: s.config(), ConfigPlanChecks: expect(plans("generation", number(2)), plans("last_change", matches(`^Rotated: token [0-9]+ is permanent\.$`))),
			Check: s.active(2),
		},
	)
}

func TestAccArguments_noOverlapRevokesAfterTheProof(t *testing.T) {
	s := newFixture(t)
	const none = `rotation = { overlap_days = 0 }`
	s.run(
		resource.TestStep{Config: s.config(none)},
		resource.TestStep{
			PreConfig: func() { s.gitlab.ForgetRequests() },
			Config:    s.config(none, `rotate_when_changed = { now = "1" }`),
			Check: resource.ComposeTestCheckFunc(s.active(1), s.published(), s.check(func() error {
				var order []string
				for _, r := range s.gitlab.Requests() {
					if r.Method != http.MethodGet || r.Route == "/jwt/auth" {
						order = append(order, r.Method)
					}
				}
				if want := []string{"POST", "GET", "DELETE"}; len(order) != 3 || order[0] != want[0] || order[1] != want[1] || order[2] != want[2] {
					return fmt.Errorf("order %v, want %v", order, want)
				}
				return nil
			})),
		},
	)
}

func TestAccArguments_invalid(t *testing.T) {
	s := newFixture(t)
	var steps []resource.TestStep
	for arguments, message := range map[string]string{
		`mode = "sometimes"`:                                        `value must be one of`,
		`visibility = "secret"`:                                     `value must be one of`,
		`container_registry_access_level = "public"`:                `value must be one of`,
		`scopes = []`:                                               `Missing scope read_registry`,
		`scopes = ["read_repository"]`:                              `Missing scope read_registry`,
		`scopes = ["read_registry", "api"]`:                         `value must be one of`,
		`username = "a b"`:                                          `can contain only letters`,
		`username = ""`:                                             `string length must be between`,
		`name = ""`:                                                 `character count must be between`,
		`on_not_required = "delete"`:                                `value must be one of`,
		`rotation = { expiration_days = 2 }`:                        `must be between 3 and`,
		`rotation = { rotate_before_days = 365 }`:                   `less than expiration_days`,
		`rotation = { overlap_days = 31 }`:                          `at most rotate_before_days`,
		"permanent = true\n  rotation = { expiration_days = 30 }":   `cannot be set for a permanent token`,
		"permanent = true\n  rotation = { rotate_before_days = 3 }": `cannot be set for a permanent token`,
		`rotation = { expiration_days = 36501 }`:                    `must be a whole number between 3 and 36500, got: 36501`,
		`rotation = { expiration_days = 30.5 }`:                     `must be a whole number between 3 and 36500, got: 30.5`,
		`rotation = { rotate_before_days = 36501 }`:                 `must be a whole number between 1 and 36500`,
		`rotation = { overlap_days = 36501 }`:                       `must be a whole number between 0 and 36500`,
		"permanent = true\n  rotation = { overlap_days = 36501 }":   `must be a whole number between 0 and 36500`,
		`rotation = { spread_days = 9223372036854775807 }`:          `must be a whole number between 0 and 36500, got: 9223372036854775807`,
		`rotation = { spread_days = 9223372036854775808 }`:          `must be a whole number between 0 and 36500, got: 9223372036854775808`,
		`rotation = { spread_days = 36501 }`:                        `less than expiration_days (365), got 36501`,
		`scopes = ["read_registry", null]`:                          `Null Set Value`,
		`rotate_when_changed = { incident = null }`:                 `Null Map Value`,
		`timeouts = { create = "-1m" }`:                             `A timeout must be longer than zero`,
		`timeouts = { delete = "0s" }`:                              `A timeout must be longer than zero`,
		`name = " "`:                                                `must not be blank`,
		`expires_at = "2027-01-01T00:00:00Z"`:                       `read-only`,
	} {
		steps = append(steps, resource.TestStep{Config: s.config(arguments), ExpectError: says(message)})
	}
	for _, project := range []string{`""`, `"shop"`, `"/acme/shop"`, `"acme/shop/"`, `"https://gitlab.com/acme/shop"`, `"0"`, `"acme /shop"`} {
		steps = append(steps, resource.TestStep{Config: s.configFor(project), ExpectError: says("numeric id or its full path")})
	}
	for _, project := range []string{`"9223372036854775808"`, `"99999999999999999999999"`} {
		steps = append(steps, resource.TestStep{Config: s.configFor(project), ExpectError: says("must be an id from 1 to 9223372036854775807")})
	}
	s.run(steps...)
	if log := s.gitlab.Requests(); len(log) != 0 {
		t.Errorf("invalid configurations made requests: %v", log)
	}
}

// TestAccArguments_invalidOnceKnown: what the plan could not check yet is refused
// before anything is written.
func TestAccArguments_invalidOnceKnown(t *testing.T) {
	for arguments, message := range map[string]string{
		`rotation = { spread_days = terraform_data.later.output }`:           `must be a whole number between 0 and 36500, got: 9223372036854775807`,
		`scopes = ["read_registry", terraform_data.later.output.none]`:       `Null Set Value`,
		`rotate_when_changed = { later = terraform_data.later.output.none }`: `Null Map Value`,
	} {
		t.Run(message, func(t *testing.T) {
			s := newFixture(t)
			input := `{ none = null }`
			if strings.Contains(arguments, "spread_days") {
				input = `9223372036854775807`
			}
			s.run(resource.TestStep{
				Config:      s.config(arguments) + "resource \"terraform_data\" \"later\" { input = " + input + " }\n",
				ExpectError: says(message),
			})
			if n := s.gitlab.Writes(); n != 0 {
				t.Errorf("%d requests have written", n)
			}
		})
	}
}

func TestAccProject_renameIsNoChange(t *testing.T) {
	s := newFixture(t)
	same := statecheck.CompareValue(compare.ValuesSame())
	s.run(
		resource.TestStep{Config: s.config(), ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, at("token_id"))}},
		resource.TestStep{
			PreConfig: func() { s.gitlab.RenameProject(s.project, "acme/Store") },
			Config:    s.config(), ConfigPlanChecks: expectNothing(), // the old string still means the same project
		},
		resource.TestStep{
			Config: s.configFor(`"ACME/store"`),
			ConfigPlanChecks: expect(action(plancheck.ResourceActionUpdate), secretUntouched(),
				plans("project_path", text("acme/Store")), plans("image_prefix", text("registry.gitlab.example.com/acme/store"))),
			ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, at("token_id"))},
		},
	)
}

func TestAccProject_anotherOneReplaces(t *testing.T) {
	s := newFixture(t)
	other := s.gitlab.CreateProject("acme/other", gitlabtest.ProjectOptions{})
	s.gitlab.SetRole(other, s.maintainer, gitlabtest.Maintainer)
	s.run(
		resource.TestStep{Config: s.config()},
		resource.TestStep{
			Config:            s.configFor(`"acme/other"`),
			ConfigPlanChecks:  expect(action(plancheck.ResourceActionDestroyBeforeCreate), plans("project_path", text("acme/other"))),
			ConfigStateChecks: []statecheck.StateCheck{has("generation", number(1))},
			Check:             s.active(0),
		},
		resource.TestStep{Config: s.configFor(`"acme/nowhere"`), ExpectError: says("404 Project Not Found")},
	)
}

func TestAccProject_missingAtCreation(t *testing.T) {
	s := newFixture(t)
	s.run(resource.TestStep{
		Config:      s.configFor(`"acme/nowhere"`),
		ExpectError: says("If Terraform creates the project, reference that resource's attributes here"),
	})
}

// TestAccProject_inTheSameRun: the arguments are what another resource of the run
// will make true.
func TestAccProject_inTheSameRun(t *testing.T) {
	s := newFixture(t)
	config := func(visibility string) string {
		return s.config(`visibility = terraform_data.project.output`) + `
resource "terraform_data" "project" { input = "` + visibility + `" }
`
	}
	s.run(
		resource.TestStep{
			// Unknown at plan: everything is decided by the apply.
			Config: config("private"),
			ConfigPlanChecks: expect(action(plancheck.ResourceActionCreate), plansUnknown("required"), plansUnknown("generation"),
				plansUnknown("facts"), plans("project_id", number(s.project.ID))),
			ConfigStateChecks: []statecheck.StateCheck{has("required", yes()), has("generation", number(1))},
			Check:             s.published(),
		},
		resource.TestStep{
			Config: config("public"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plansUnknown("required"), plansUnknown("docker_config_json"),
				during(func() { s.gitlab.SetVisibility(s.project, "public") }),
			}},
			ConfigStateChecks: []statecheck.StateCheck{has("required", no()), has("reason", text("anonymous_pull"))},
		},
	)
}

func TestAccFacts_argumentThatContradictsGitLab(t *testing.T) {
	s := newFixture(t)
	s.run(
		resource.TestStep{Config: s.config(`auto_devops_enabled = false`), ExpectError: says("but GitLab says that it is (auto_devops_private)")},
		resource.TestStep{Config: s.config()},
		resource.TestStep{
			PreConfig:   func() { s.gitlab.ForgetRequests() },
			Config:      s.config(`visibility = "public"`),
			ExpectError: says("but GitLab says that it is (auto_devops_private)"),
		},
		resource.TestStep{Config: s.config(), ConfigPlanChecks: expectNothing(), Check: resource.ComposeTestCheckFunc(s.active(1), s.published())},
	)
}

func TestAccFacts_argumentThatAddsANeed(t *testing.T) {
	s := newFixture(t)
	s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.False)
	s.run(resource.TestStep{
		Config:            s.config(`auto_devops_enabled = true`),
		ConfigStateChecks: []statecheck.StateCheck{has("required", yes()), has("reason", text("auto_devops_private"))},
		Check:             s.published(),
	})
}

// TestAccFacts_hiddenFlag: below Maintainer, the missing flag must never read as "off".
func TestAccFacts_hiddenFlag(t *testing.T) {
	s := newFixture(t)
	s.token = s.gitlab.CreateAccessToken(s.gitlab.TokenManager(s.project), "api")
	s.run(
		resource.TestStep{Config: s.config(), ExpectError: says("it hides auto_devops_enabled from users below the Maintainer role")},
		resource.TestStep{
			Config:            s.config(`mode = "always"`),
			ConfigStateChecks: []statecheck.StateCheck{has("reason", text("mode_always")), statecheck.ExpectKnownValue(address, at("facts").AtMapKey("auto_devops_enabled"), null())},
			Check:             s.published(),
		},
		resource.TestStep{
			Config:            s.config(`auto_devops_enabled = false`), // accepted, with a warning
			ConfigStateChecks: []statecheck.StateCheck{has("reason", text("auto_devops_disabled")), has("ends_at", knownvalue.NotNull())},
			Check:             s.published(),
		},
		resource.TestStep{
			Config:      s.config(),
			ExpectError: says("Cannot decide whether project acme/shop needs registry access"),
		},
		resource.TestStep{
			Config: s.config(`mode = "never"`), ConfigStateChecks: []statecheck.StateCheck{has("reason", text("mode_never"))}, Check: s.active(1),
		},
	)
}

func TestAccMode_keepWindsDownInsteadOfDyingInTheSecret(t *testing.T) {
	s := newFixture(t)
	const keep = `on_not_required = "keep"`
	s.run(
		resource.TestStep{Config: s.config(keep)},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetGroupAutoDevOps(s.group, gitlabtest.False) },
			Config:    s.config(keep), ConfigPlanChecks: expect(plans("required", no()), plans("ends_at", null()), secretUntouched()),
			Check: s.published(),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.Clock.AdvanceDays(336) },
			Config:    s.config(keep), ConfigPlanChecks: expect(plansUnknown("ends_at"), plans("generation", number(1)), secretUntouched()),
			Check: s.published(),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.Clock.AdvanceDays(8) },
			Config:    s.config(keep), ConfigPlanChecks: expect(plans("token", null()), secretChanges()),
			Check: s.active(0),
		},
	)
}

func TestAccRegistry_hostChanges(t *testing.T) {
	s := newFixture(t)
	same := statecheck.CompareValue(compare.ValuesSame())
	s.run(
		resource.TestStep{Config: s.config(), ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(address, at("token"))}},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetRegistryHost("registry.example.com:5050") },
			Config:    s.config(),
			ConfigPlanChecks: expect(action(plancheck.ResourceActionUpdate), secretChanges(), plans("generation", number(1)),
				plans("registry", text("registry.example.com:5050"))),
			ConfigStateChecks: []statecheck.StateCheck{
				same.AddStateValue(address, at("token")),
				has("docker_config_json", matches(`^{"auths":{"registry\.example\.com:5050":{"username":"autodevops-`)),
			},
		},
	)
}

func TestAccRegistry_missingHoldsEverything(t *testing.T) {
	s := newFixture(t)
	s.run(
		resource.TestStep{Config: s.config()},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetRegistryEnabled(false); s.gitlab.Clock.AdvanceDays(340) },
			Config:    s.config(), ConfigPlanChecks: expectNothing(), Check: s.active(1),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetRegistryEnabled(true) },
			Config:    s.config(), ConfigPlanChecks: expect(plans("generation", number(2))), Check: s.published(),
		},
		resource.TestStep{
			PreConfig: func() { s.gitlab.SetRegistryAccessLevel(s.project, "disabled") },
			Config:    s.config(), ConfigPlanChecks: expect(plans("reason", text("registry_disabled")), plansUnknown("ends_at")),
		},
	)
}

func TestAccData_assessesWithoutManaging(t *testing.T) {
	s := newFixture(t)
	s.gitlab.SaveAutoDevOps(s.project, gitlabtest.True)
	dead := s.gitlab.CreateDeployToken(s.project, "gitlab-deploy-token", "old", s.gitlab.Clock.Now(), "read_registry")
	s.gitlab.RevokeInSettings(dead.ID)
	config := `
provider "autodevops" {
  base_url = "` + s.gitlab.URL + `"
  token    = "` + s.token + `"
}
data "autodevops_registry_access" "shop" {
  project = "acme/shop"
  name    = "gitlab-deploy-token"
}
check "covered" {
  assert {
    condition     = !data.autodevops_registry_access.shop.required || anytrue(data.autodevops_registry_access.shop.tokens[*].works)
    error_message = data.autodevops_registry_access.shop.explanation
  }
}
`
	const data = "data.autodevops_registry_access.shop"
	value := func(name string, check knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(data, at(name), check)
	}
	s.run(
		resource.TestStep{
			Config: config,
			ConfigStateChecks: []statecheck.StateCheck{
				value("required", yes()), value("reason", text("auto_devops_private")), value("registry", text("registry.gitlab.example.com")),
				value("tokens", length(2)),
				statecheck.ExpectKnownValue(data, at("tokens").AtSliceIndex(0).AtMapKey("works"), yes()),
				statecheck.ExpectKnownValue(data, at("tokens").AtSliceIndex(1).AtMapKey("works"), no()),
				statecheck.ExpectKnownValue(data, at("tokens").AtSliceIndex(1).AtMapKey("revoked"), yes()),
			},
			Check: func(*terraform.State) error {
				if s.gitlab.Writes() != 0 {
					t.Error("a data source wrote")
				}
				return nil
			},
		},
	)
}
