package registryaccess_test

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// importConfig declares the import in the configuration.
func (s *fixture) importConfig(id string, arguments ...string) string {
	return s.config(arguments...) + fmt.Sprintf(`
import {
  to = autodevops_registry_access.shop
  id = %q
}
`, id)
}

// TestAccImport_takesOverWithoutDowntime: the secret of GitLab's own token cannot
// be read back, so the first apply replaces it and lets both live for the overlap.
func TestAccImport_takesOverWithoutDowntime(t *testing.T) {
	s := newFixture(t)
	s.gitlab.SaveAutoDevOps(s.project, gitlabtest.True)
	own := s.gitlab.Tokens(s.project)[0]
	s.run(
		resource.TestStep{
			Config: s.importConfig("acme/shop"),
			ConfigPlanChecks: expect(
				action(plancheck.ResourceActionUpdate), plans("required", yes()), plans("generation", number(1)), plansUnknown("token"),
				plans("last_change", text(fmt.Sprintf("Taken over: token %d was imported.", own.ID))),
			),
			ConfigStateChecks: []statecheck.StateCheck{
				has("name", text(access.DefaultName)), has("username", matches(`^autodevops-`)), has("retired_tokens", length(1)),
				statecheck.ExpectKnownValue(address, at("retired_tokens").AtSliceIndex(0).AtMapKey("token_id"), number(own.ID)),
				statecheck.ExpectKnownValue(address, at("retired_tokens").AtSliceIndex(0).AtMapKey("revoke_at"), text("2026-01-22T10:00:00Z")),
			},
			Check: resource.ComposeTestCheckFunc(s.active(2), s.published()),
		},
		resource.TestStep{
			PreConfig:        func() { s.gitlab.Clock.AdvanceDays(7) },
			Config:           s.config(),
			ConfigPlanChecks: expect(secretUntouched(), plans("retired_tokens", length(0))),
			Check:            resource.ComposeTestCheckFunc(s.active(1), s.published()),
		},
	)
}

func TestAccImport_forms(t *testing.T) {
	s := newFixture(t)
	ours := s.gitlab.CreateDeployToken(s.project, access.DefaultName, "a", time.Time{}, "read_registry")
	s.gitlab.CreateDeployToken(s.project, access.GitLabName, "b", time.Time{}, "read_registry")
	other := s.gitlab.CreateDeployToken(s.project, "other", "c", time.Time{}, "read_registry", "read_repository")
	wanted := map[string]int64{
		"acme/shop": ours.ID, itoa(s.project.ID): ours.ID,
		fmt.Sprintf("acme/shop:%d", other.ID): other.ID, fmt.Sprintf("%d:%d", s.project.ID, other.ID): other.ID,
	}
	for id, token := range wanted {
		t.Run(id, func(t *testing.T) {
			d := &driver{fixture: &fixture{TB: t, gitlab: s.gitlab, project: s.project, token: s.token}}
			d.load()
			if !d.importState(id) {
				t.Fatalf("import failed: %v", describe(d.last))
			}
			if got := d.attributes(d.state)["token_id"].String(); !strings.Contains(got, fmt.Sprint(token)) {
				t.Errorf("imported %s, want %d", got, token)
			}
			if d.text("project") != strings.Split(id, ":")[0] || d.text("docker_config_json") != access.EmptyDockerConfig {
				t.Errorf("project %q, docker config %q", d.text("project"), d.text("docker_config_json"))
			}
		})
	}
}

func TestAccImport_refusals(t *testing.T) {
	s := newFixture(t)
	make2 := func(p *gitlabtest.Project) {
		s.gitlab.CreateDeployToken(p, access.DefaultName, "a", time.Time{}, "read_registry")
		s.gitlab.CreateDeployToken(p, access.DefaultName, "b", time.Time{}, "read_registry")
	}
	several := s.gitlab.CreateProject("acme/several", gitlabtest.ProjectOptions{})
	s.gitlab.SetRole(several, s.maintainer, gitlabtest.Maintainer)
	make2(several)
	ids := s.gitlab.Tokens(several)
	revoked := s.gitlab.CreateDeployToken(s.project, access.DefaultName, "a", time.Time{}, "read_registry")
	s.gitlab.RevokeInSettings(revoked.ID)
	git := s.gitlab.CreateDeployToken(s.project, "git", "a", time.Time{}, "read_repository")

	for id, want := range map[string]string{
		"shop":                                  "does not begin with a project's numeric id or full path",
		"":                                      "Import by one of",
		"acme/shop:":                            "is not the numeric id of a deploy token",
		"acme/shop:x":                           "is not the numeric id of a deploy token",
		"acme/shop:-1":                          "is not the numeric id of a deploy token",
		"acme/shop:+1":                          "is not the numeric id of a deploy token",
		"acme/shop:007":                         "is not the numeric id of a deploy token",
		"acme/shop:9223372036854775808":         "is not the numeric id of a deploy token",
		"9223372036854775808":                   "does not begin with a project's numeric id or full path",
		"9223372036854775808:1":                 "does not begin with a project's numeric id or full path",
		"acme/shop:99999":                       "has no deploy token 99999",
		"acme/nowhere":                          "404 Project Not Found",
		"acme/shop":                             `no working deploy token named "autodevops-registry-access" or "gitlab-deploy-token"`,
		fmt.Sprintf("acme/shop:%d", revoked.ID): "is revoked or expired",
		fmt.Sprintf("acme/shop:%d", git.ID):     "lacks the scope read_registry",
		"acme/several": fmt.Sprintf("several working deploy tokens named %q. Choose one of them and import it by its id:\n  acme/several:%d (username %s)\n  acme/several:%d (username %s)",
			access.DefaultName, ids[0].ID, ids[0].Username, ids[1].ID, ids[1].Username),
	} {
		t.Run(id, func(t *testing.T) {
			d := &driver{fixture: &fixture{TB: t, gitlab: s.gitlab, project: s.project, token: s.token}}
			d.load()
			if d.importState(id) {
				t.Fatal("imported")
			}
			if got := strings.Join(describe(d.last), "\n"); !strings.Contains(got, want) {
				t.Errorf("says %s\nwant %s", got, want)
			}
		})
	}
}

// TestImport_identityRefusals: an identity that cannot be one makes no request.
func TestImport_identityRefusals(t *testing.T) {
	d := newDriver(t)
	typ := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"project_id": tftypes.Number, "name": tftypes.String}}
	tooLarge, _, _ := big.ParseFloat("9223372036854775808", 10, 512, big.ToNearestEven)
	for name, identity := range map[string]arguments{
		"no project": {"name": "x"}, "zero": {"project_id": 0, "name": "x"}, "negative": {"project_id": -1, "name": "x"},
		"a fraction": {"project_id": 1.5, "name": "x"}, "too large": {"project_id": tooLarge, "name": "x"},
		"no name": {"project_id": 1}, "an empty name": {"project_id": 1, "name": ""},
	} {
		resp, err := d.configured().ImportResourceState(d.Context(), &tfprotov6.ImportResourceStateRequest{
			TypeName: typeName, Identity: &tfprotov6.ResourceIdentityData{IdentityData: d.encode(d.object(typ, identity))},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(describe(resp.Diagnostics), "\n"); !strings.Contains(got, "Import by one of") {
			t.Errorf("%s: says %q", name, got)
		}
	}
	if log := d.gitlab.Requests(); len(log) != 0 {
		t.Errorf("requests: %v", log)
	}
}

var newerThan112 = regexp.MustCompile(`v(1\.1[2-9]|1\.[2-9][0-9]|[2-9])\.`)

// TestAccIdentity needs a CLI that knows resource identities (1.12 and later).
func TestAccIdentity(t *testing.T) {
	if version := cliVersion(t); !newerThan112.MatchString(version) {
		t.Skipf("%s knows no resource identities", version)
	}
	s := newFixture(t)
	own := s.gitlab.CreateDeployToken(s.project, "pull-secret", "a", time.Time{}, "read_registry")
	identity := func(name string) statecheck.StateCheck {
		return statecheck.ExpectIdentity(address, map[string]knownvalue.Check{"project_id": number(s.project.ID), "name": text(name)})
	}
	s.run(
		resource.TestStep{
			Config: s.config(`name = "pull-secret"`) + fmt.Sprintf(`
import {
  to       = autodevops_registry_access.shop
  identity = { project_id = %d, name = "pull-secret" }
}
`, s.project.ID),
			ConfigPlanChecks:  expect(plans("last_change", matches(fmt.Sprintf(`^Taken over: token %d `, own.ID)))),
			ConfigStateChecks: []statecheck.StateCheck{identity("pull-secret")},
			Check:             s.active(2),
		},
		resource.TestStep{
			// The name is part of the identity, and changes in place.
			Config:            s.config(),
			ConfigPlanChecks:  expect(action(plancheck.ResourceActionUpdate), plans("generation", number(2))),
			ConfigStateChecks: []statecheck.StateCheck{identity(access.DefaultName)},
			Check:             s.published(),
		},
	)
}

// TestImport_generatedUsernames: what this access has generated may be pinned, as a
// generated configuration does; anybody else's may not.
func TestImport_generatedUsernames(t *testing.T) {
	d := newDriver(t)
	reserved := fmt.Sprintf("autodevops-%d-abcdefgh", d.project.ID)
	if p := d.planChange(arguments{"username": reserved}); !failed(p.diagnostics) || summaries(p.diagnostics)[0] != "Reserved username" {
		t.Errorf("a reserved username passed: %v", describe(p.diagnostics))
	}
	d.mustApply(nil)
	pinned := arguments{"username": d.text("username")}
	d.mustApply(pinned)
	d.mustBeSettled(pinned)
	if n := len(d.gitlab.Tokens(d.project)); n != 1 {
		t.Errorf("pinning the username rotated: %d tokens", n)
	}
}

// TestImport_notRequired: nothing is published, and the plan does not claim so.
func TestImport_notRequired(t *testing.T) {
	d := newDriver(t)
	d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
	token := d.gitlab.CreateDeployToken(d.project, access.DefaultName, "x", time.Time{}, "read_registry")
	if !d.importState("acme/shop") || d.text("username") != "" {
		t.Fatalf("imported with username %q: %v", d.text("username"), describe(d.last))
	}
	p := d.planChange(nil)
	if got := fmt.Sprint(describe(p.diagnostics)); !containsAll(got, "is not published, because its secret is not known", itoa(token.ID)) {
		t.Errorf("says %s", got)
	}
	if !d.apply(p) || d.text("docker_config_json") != access.EmptyDockerConfig || !access.GeneratedUsername(d.text("username"), d.project.ID) {
		t.Errorf("after the apply: username %q, %v", d.text("username"), describe(d.last))
	}
	d.mustBeSettled(nil)
}
