package registryaccess_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// history is a random history of GitLab, jobs, clusters and applies around one resource that
// publishes in CI/CD variables.
type history struct {
	*driver

	round     int
	late      []*gitlabtest.Job
	theirs    string // the value of a variable that somebody else has written
	written   map[string]writtenSecret
	isPrivate bool
	noCI      bool
}

// writtenSecret is what a deploy job has written into a namespace.
type writtenSecret struct {
	username, password string
	expiresAt          time.Time
}

func (h *history) args() arguments {
	return variables(arguments{"rotate_when_changed": map[string]string{"round": fmt.Sprint(h.round)}})
}

func (h *history) step(t *rapid.T) {
	environment := rapid.SampledFrom([]string{"production", "staging", "review/x"}).Draw(t, "environment")
	event := rapid.SampledFrom([]string{
		"apply", "apply", "apply", "days", "days", "deploy", "deploy", "late job", "late job ends", "rotate",
		"somebody writes", "somebody removes", "visibility", "Auto DevOps", "CI", "fault", "stop", "a copy of the state dies",
	}).Draw(t, "event")
	if h.noCI && (event == "deploy" || event == "late job") {
		return // no job runs
	}
	switch event {
	case "apply":
		h.runApply(h.args())
	case "days":
		h.gitlab.Clock.AdvanceDays(rapid.SampledFrom([]int{1, 7, 40, 100, 190}).Draw(t, "days"))
	case "deploy":
		h.gitlab.Clock.Advance(2 * time.Minute)
		h.gitlab.Deploy(h.project, environment)
		h.note(environment)
	case "late job":
		job := h.gitlab.QueueJob(h.project, gitlabtest.JobOptions{Name: "production", Environment: "production"})
		h.gitlab.PickUp(job)
		h.late = append(h.late, job)
	case "late job ends":
		for _, job := range h.late {
			h.gitlab.CreateSecret(job, "production")
			h.gitlab.FinishJob(job, "failed")
			h.note("production")
		}
		h.late = nil
	case "rotate":
		h.round++
		h.runApply(h.args())
	case "somebody writes":
		h.theirs = fmt.Sprintf("theirs-%d", h.round)
		h.gitlab.SetVariable(h.project, gitlabtest.Variable{Key: "CI_OTHER", Value: h.theirs})
		h.edit(passwordKey, func(v *gitlabtest.Variable) { v.Key, v.Scope, v.Value = passwordKey, "*", "somebody's-value" })
	case "somebody removes":
		h.gitlab.DeleteVariable(h.project, rapid.SampledFrom([]string{userKey, passwordKey}).Draw(t, "key"), "*")
	case "visibility":
		h.isPrivate = !h.isPrivate
		h.gitlab.SetVisibility(h.project, map[bool]string{true: "private", false: "public"}[h.isPrivate])
	case "Auto DevOps":
		h.gitlab.SetGroupAutoDevOps(h.group, rapid.SampledFrom([]*bool{gitlabtest.True, gitlabtest.False}).Draw(t, "Auto DevOps"))
	case "CI":
		h.noCI = !h.noCI
		h.gitlab.SetCIEnabled(h.project, !h.noCI)
	case "fault":
		h.gitlab.Inject(gitlabtest.Fault{
			Match:  rapid.SampledFrom([]string{postToken, putVariable, postVariable, deleteVariable, listVariables, deleteToken, listTokens}).Draw(t, "request"),
			Status: rapid.SampledFrom([]int{0, 403, 500, 502}).Draw(t, "status"), Times: rapid.SampledFrom([]int{1, gitlabtest.Always}).Draw(t, "times"),
			When: rapid.SampledFrom([]gitlabtest.When{gitlabtest.Before, gitlabtest.After}).Draw(t, "when"),
		})
		h.runApply(h.args())
		h.gitlab.ClearFaults()
	case "stop":
		h.gitlab.StopEnvironment(h.project, environment)
	case "a copy of the state dies":
		// A killed apply: what it did in GitLab stays, and the state is the one of before.
		state, private, secret := h.state, h.private, h.secret
		h.round++
		h.runApply(h.args())
		h.state, h.private, h.secret = state, private, secret
	}
}

// note remembers what the Secret of an environment holds now.
func (h *history) note(environment string) {
	username, password, ok := h.gitlab.ClusterSecret(h.project, environment)
	delete(h.written, environment)
	if !ok {
		return
	}
	for _, token := range h.gitlab.ActiveTokens(h.project) {
		if token.Secret == password && token.Username == username {
			h.written[environment] = writtenSecret{username, password, token.ExpiresAt}
		}
	}
}

// check states the laws.
func (h *history) check(t *rapid.T) {
	now := h.gitlab.Clock.Now()
	for environment, secret := range h.written {
		if now.Before(secret.expiresAt) && !h.gitlab.CanPull(h.project, secret.username, secret.password) {
			t.Errorf("the Secret of %s holds a token that expires on %s, and cannot pull on %s", environment, secret.expiresAt, now)
		}
	}
	live := 0
	for _, token := range h.gitlab.ActiveTokens(h.project) {
		if token.ExpiresAt.IsZero() || token.ExpiresAt.After(now.AddDate(0, 0, 366)) {
			t.Errorf("token %d outlives its bound: %s", token.ID, token.ExpiresAt)
		}
		live++
	}
	if other, found := h.variable("CI_OTHER", "*"); h.theirs != "" && (!found || other.Value != h.theirs) {
		t.Error("somebody else's variable was changed")
	}
}

// TestPublish_laws: whatever happens, a Secret that a job wrote pulls until the token in it
// expires, no token outlives its bound, and nobody else's variable is touched. In the end, an
// undisturbed apply publishes, and a destroy leaves what others have written.
func TestPublish_laws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := &fixture{TB: t, gitlab: gitlabtest.New(t)}
		s.populate()
		h := &history{driver: &driver{fixture: s}, written: map[string]writtenSecret{}, isPrivate: true}
		h.load()
		for range rapid.IntRange(3, 14).Draw(rt, "steps") {
			h.step(rt)
			h.check(rt)
			if rt.Failed() {
				return
			}
		}
		h.settle(rt)
		s.gitlab.Close()
	})
}

func (h *history) settle(t *rapid.T) {
	h.gitlab.SetVisibility(h.project, "private")
	h.gitlab.SetGroupAutoDevOps(h.group, gitlabtest.True)
	h.gitlab.SetCIEnabled(h.project, true)
	h.recreate()
	for range 3 {
		if !h.runApply(h.args()) && h.text("token") == "" {
			// Somebody has taken a key while nothing was published.
			h.gitlab.DeleteVariable(h.project, passwordKey, "*")
			h.gitlab.DeleteVariable(h.project, userKey, "*")
		}
	}
	h.check(t)
	h.mustBePublished("*")
	h.mustBeSettled(h.args())
	h.edit(passwordKey, func(v *gitlabtest.Variable) { v.Value, v.Description = "somebody's-last-value", "" })
	if !h.destroy() {
		t.Fatalf("destroy: %v", describe(h.last))
	}
	if v, _ := h.variable(passwordKey, "*"); v.Value != "somebody's-last-value" {
		t.Error("the destroy has removed what somebody else has written")
	}
}
