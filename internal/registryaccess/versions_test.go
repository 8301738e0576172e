package registryaccess_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// gitLabVersions are what the stories are told on. What an older GitLab does differently
// stands in versions.go of the stand-in. The page "Upgrading" names the oldest and the newest.
var gitLabVersions = []string{"14.9.0", "15.0.0", "15.11.13", "16.0.0", "16.11.10", "17.0.0", "17.11.7", "18.0.0", "18.11.0", "19.0.0", "19.5.0"}

// versionStories are the lives that a resource leads, each from its creation on.
var versionStories = map[string]func(*driver){
	"rotation":                 rotationStory,
	"token deleted by hand":    deletedByHandStory,
	"token revoked by hand":    revokedByHandStory,
	"take-over":                takeOverStory,
	"Auto DevOps off and on":   windDownStory,
	"public":                   publicStory,
	"registry off":             registryOffStory,
	"project moved":            movedStory,
	"project being deleted":    deletionStory,
	"role too low":             roleStory,
	"lost answer":              lostAnswerStory,
	"published":                publishedStory,
	"publication withdrawn":    withdrawnStory,
	"variables changed":        variablesChangedStory,
	"variables of others":      variablesOfOthersStory,
	"environments behind":      environmentsStory,
	"sealed and published":     sealedStory,
	"destroyed with CI/CD off": destroyStory,
}

func TestVersions(t *testing.T) {
	for _, version := range gitLabVersions {
		for name, story := range versionStories {
			t.Run(version+"/"+name, func(t *testing.T) {
				d := newDriver(t)
				d.gitlab.SetVersion(version)
				story(d)
			})
		}
	}
}

// mustWant checks what must hold at that point of a story.
func (d *driver) mustWant(holds bool, format string, details ...any) {
	d.Helper()
	if !holds {
		d.Fatalf(format, details...)
	}
}

// active counts the project's active tokens.
func (d *driver) active() int { return len(d.gitlab.ActiveTokens(d.project)) }

// mustEnd destroys the resource, and wants nothing left of it.
func (d *driver) mustEnd() {
	d.Helper()
	d.mustWant(d.destroy(), "destroy: %v", describe(d.last))
	d.mustWant(d.active() == 0, "%d tokens are left", d.active())
	d.mustWant(len(d.gitlab.Variables(d.project)) == 0, "variables are left")
}

// mustHaveJobsPull wants the current credentials in the variables. What else a variable
// has depends on the version.
func (d *driver) mustHaveJobsPull() {
	d.Helper()
	password, _ := d.variable(passwordKey, "*")
	d.mustWant(password.Value == d.text("token") && password.Masked && !password.Protected && d.jobsPull(), "the variables do not hold the current credentials")
	d.mustWant(d.text("ci_status") == "published" && d.text("published_at") != "", "ci_status %q, published_at %q", d.text("ci_status"), d.text("published_at"))
}

func rotationStory(d *driver) {
	d.mustApply(nil)
	d.mustWant(d.text("reason") == "auto_devops_private" && d.secretPulls(), "the first token: %s", d.text("reason"))
	d.mustBeSettled(nil)
	first := d.text("token")
	d.gitlab.Clock.AdvanceDays(340)
	d.mustApply(nil)
	d.mustWant(d.text("token") != first && d.secretPulls() && d.active() == 2, "not rotated with overlap: %d tokens", d.active())
	d.mustBeSettled(nil)
	d.gitlab.Clock.AdvanceDays(8)
	d.mustApply(nil)
	d.mustWant(d.active() == 1 && d.secretPulls(), "the retired token was not revoked: %d tokens", d.active())
	d.mustBeSettled(nil)
	d.mustEnd()
}

func deletedByHandStory(d *driver) {
	d.mustApply(nil)
	d.gitlab.DeleteDeployToken(d.gitlab.Tokens(d.project)[0].ID)
	d.mustApply(nil)
	d.mustWant(d.secretPulls() && d.text("token_status") == "active", "the lost token was not replaced: %s", d.text("token_status"))
	d.mustBeSettled(nil)
}

func revokedByHandStory(d *driver) {
	d.mustApply(nil)
	d.gitlab.RevokeInSettings(d.gitlab.Tokens(d.project)[0].ID)
	d.mustApply(nil)
	d.mustWant(d.secretPulls() && d.active() == 1, "the revoked token was not replaced")
	d.mustBeSettled(nil)
}

func takeOverStory(d *driver) {
	theirs := d.gitlab.CreateDeployToken(d.project, access.DefaultName, "theirs", time.Time{}, "read_registry")
	d.mustWant(d.importState("acme/shop"), "import: %v", describe(d.last))
	d.mustApply(nil)
	d.mustWant(d.secretPulls() && d.gitlab.CanPull(d.project, "theirs", theirs.Secret), "the take-over has ended the old token, or does not pull")
	d.mustBeSettled(nil)
	d.gitlab.Clock.AdvanceDays(8)
	d.mustApply(nil)
	d.mustWant(!d.gitlab.CanPull(d.project, "theirs", theirs.Secret) && d.secretPulls(), "the old token was not revoked after the overlap")
}

func windDownStory(d *driver) {
	d.mustApply(nil)
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.False)
	d.mustApply(nil)
	d.mustWant(!d.isRequired() && d.text("ends_at") != "" && d.secretPulls(), "no wind-down: ends_at %q", d.text("ends_at"))
	d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
	d.mustApply(nil)
	d.mustWant(d.isRequired() && d.text("ends_at") == "" && d.secretPulls(), "the wind-down was not cancelled")
	d.mustBeSettled(nil)
}

func publicStory(d *driver) {
	d.mustApply(nil)
	d.gitlab.SetVisibility(d.project, "public")
	d.mustApply(nil)
	d.mustWant(d.text("reason") == "anonymous_pull" && d.text("docker_config_json") == access.EmptyDockerConfig, "the Secret holds credentials of a public project")
	d.gitlab.Clock.AdvanceDays(8)
	d.mustApply(nil)
	d.mustWant(d.active() == 0, "%d tokens are left", d.active())
	d.gitlab.SetRegistryAccessLevel(d.project, "private")
	d.mustApply(nil)
	d.mustWant(d.text("reason") == "auto_devops_members_only" && d.secretPulls(), "members only: %s", d.text("reason"))
}

func registryOffStory(d *driver) {
	d.mustApply(nil)
	d.gitlab.SetRegistryAccessLevel(d.project, "disabled")
	d.mustApply(nil)
	d.mustWant(d.text("reason") == "registry_disabled" && !d.isRequired(), "reason %s", d.text("reason"))
	d.mustBeSettled(nil)
}

func movedStory(d *driver) {
	d.mustApply(nil)
	before := d.text("token")
	d.gitlab.RenameProject(d.project, "acme/store")
	d.mustApply(nil)
	d.mustWant(d.text("token") == before && d.text("project_path") == "acme/store", "moved to %s with another token", d.text("project_path"))
	d.mustBeSettled(nil)
}

func deletionStory(d *driver) {
	d.mustApply(nil)
	d.gitlab.SetArchived(d.project, true)
	d.gitlab.ScheduleDeletion(d.project)
	d.mustBeSettled(nil)
	d.mustWant(d.secretPulls(), "the token of a project that will be deleted does not pull")
	d.mustEnd()
}

func roleStory(d *driver) {
	d.gitlab.SetRole(d.project, d.maintainer, gitlabtest.Developer)
	d.mustWant(!d.runApply(nil) && strings.Contains(fmt.Sprint(describe(d.last)), "Maintainer"), "says %v", describe(d.last))
	d.mustWant(d.active() == 0, "a token was minted")
}

func lostAnswerStory(d *driver) {
	d.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: http.StatusBadGateway, When: gitlabtest.After})
	for range 3 {
		if d.runApply(nil) {
			break
		}
	}
	d.mustWant(d.secretPulls(), "no token after a lost answer: %v", describe(d.last))
	d.mustBeSettled(nil)
}

func publishedStory(d *driver) {
	d.mustApply(variables())
	d.mustHaveJobsPull()
	d.mustBeSettled(variables())
	d.gitlab.Clock.AdvanceDays(183)
	d.gitlab.ForgetRequests()
	d.mustApply(variables())
	d.mustHaveJobsPull()
	d.mustWant(slices.Equal(d.writes(), []string{postToken, putVariable}), "the rotation writes %v", d.writes())
	d.mustBeSettled(variables())
	d.mustEnd()
}

func withdrawnStory(d *driver) {
	d.mustApply(variables())
	d.mustApply(nil)
	d.mustWant(len(d.gitlab.Variables(d.project)) == 0 && d.text("ci_status") == "" && d.secretPulls(), "ci_variables is gone, the variables are not")
	d.mustBeSettled(nil)
}

func variablesChangedStory(d *driver) {
	d.mustApply(variables())
	d.edit(passwordKey, func(v *gitlabtest.Variable) { v.Value = "another-value" })
	d.mustWant(d.refresh() && d.text("ci_status") == "changed", "ci_status %s", d.text("ci_status"))
	d.mustApply(variables())
	d.mustHaveJobsPull()
	d.gitlab.DeleteVariable(d.project, userKey, "*")
	d.mustWant(d.refresh() && d.text("ci_status") == "missing", "ci_status %s", d.text("ci_status"))
	d.mustApply(variables())
	d.mustHaveJobsPull()
	d.mustBeSettled(variables())
}

func variablesOfOthersStory(d *driver) {
	theirs := gitlabtest.Variable{Key: passwordKey, Value: "their-own-password", Scope: "*", Masked: true}
	d.gitlab.SetVariable(d.project, theirs)
	d.mustWant(!d.runApply(variables()) && d.active() == 0, "somebody's variable was overwritten")
	overwrite := arguments{"ci_variables": arguments{"overwrite": true}}
	d.mustApply(overwrite)
	d.mustHaveJobsPull()
	d.mustBeSettled(overwrite)
}

func environmentsStory(d *driver) {
	d.mustApply(variables())
	d.gitlab.Clock.Advance(3 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.gitlab.Deploy(d.project, "staging")
	d.gitlab.Clock.AdvanceDays(183)
	d.mustApply(variables())
	d.mustBeSettled(variables())
	d.mustWant(d.behind() == "production retired, staging retired", "behind: %s", d.behind())
	d.gitlab.Clock.Advance(3 * time.Minute)
	d.gitlab.Deploy(d.project, "production")
	d.mustBeSettled(variables())
	d.mustWant(d.behind() == "staging retired", "behind after the deployment of production: %s", d.behind())
	d.gitlab.Deploy(d.project, "staging")
	d.mustBeSettled(variables())
	d.mustWant(d.behind() == "none" && d.gitlab.ClusterPulls(d.project, "production"), "behind after both: %s", d.behind())
}

func sealedStory(d *driver) {
	args := variables(sealedFor(0))
	d.mustApply(args)
	d.mustWant(d.text("token") == "" && d.text("sealed_credentials") != "" && d.jobsPull(), "not sealed, or jobs cannot pull")
	d.mustBeSettled(args)
	d.gitlab.Clock.AdvanceDays(183)
	d.mustApply(args)
	d.mustWant(d.jobsPull(), "jobs cannot pull after the rotation")
	d.mustBeSettled(args)
}

func destroyStory(d *driver) {
	d.mustApply(variables())
	d.gitlab.SetCIEnabled(d.project, false)
	d.mustBeSettled(variables())
	d.mustWant(d.destroy(), "destroy: %v", describe(d.last))
	d.mustWant(d.active() == 0 && len(d.last) > 0, "tokens are left, or nothing warns of the variables")
}
