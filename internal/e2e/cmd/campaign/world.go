//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// world is GitLab with everybody who is not the provider.
type world struct {
	gitlab  *gitlabtest.Server
	group   *gitlabtest.Group
	project *gitlabtest.Project
	// clockFile is where the provider reads GitLab's time.
	clockFile string
	// path is the project's path now; level and registry are GitLab's settings.
	path, level string
	registry    bool
	// others are the tokens that the provider did not make.
	others map[int64]bool
	// dead are tokens whose end is no secret: killed by hand, or ended by a command
	// that could not say so.
	dead map[int64]bool

	// noCI: CI/CD is off for the project.
	noCI bool
	// late are deploy jobs that were taken and have not done their work.
	late []*gitlabtest.Job
	// written is what deploy jobs have left in the cluster, by environment.
	written map[string]jobSecret
	// deployed are the environments that were ever deployed with success: something runs there.
	deployed map[string]bool
	// givenOut are the passwords that jobs could get from the variables.
	givenOut []string
	// values counts what others have written into variables.
	values int
}

func newWorld(clockFile string) (*world, error) {
	gitlab, err := gitlabtest.Start(gitlabtest.WithClock(gitlabtest.NewClock(time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC))))
	if err != nil {
		return nil, err
	}
	w := &world{
		gitlab: gitlab, clockFile: clockFile, path: "acme/shop", level: "enabled", registry: true,
		others: map[int64]bool{}, dead: map[int64]bool{}, written: map[string]jobSecret{},
		deployed: map[string]bool{},
	}
	w.group = gitlab.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	w.project = gitlab.CreateProject(w.path, gitlabtest.ProjectOptions{})
	gitlab.SetVariable(w.project, gitlabtest.Variable{Key: otherKey, Value: w.theirValue()})
	return w, w.pass(0)
}

// pass moves the time of GitLab and provider.
func (w *world) pass(d time.Duration) error {
	w.gitlab.Clock.Advance(d)
	now := w.gitlab.Clock.Now().Format(time.RFC3339Nano)
	// Renamed into place: a process may be reading it.
	if err := os.WriteFile(w.clockFile+".new", []byte(now), 0o600); err != nil {
		return err
	}
	return os.Rename(w.clockFile+".new", w.clockFile)
}

// serves reports whether the project can serve images to anybody at all.
func (w *world) serves() bool { return w.registry && w.level != "disabled" }

// move lets something happen outside of the CLI, and says what. Tokens that come of
// it are somebody else's.
func (w *world) move(r *rand.Rand, state snapshot) (what string, err error) {
	switch r.IntN(8) {
	case 0, 1:
		what, err = w.moveClock(r, state)
	case 2, 3:
		what = w.changeFacts(r)
	case 4, 5, 6:
		what, err = w.moveJobs(r)
	default:
		what = w.meddle(r, state)
	}
	for _, t := range w.gitlab.Tokens(w.project) {
		if _, known := state.tokens[t.ID]; !known {
			w.others[t.ID] = true
		}
	}
	return what, err
}

// moveClock moves by hours to hundreds of days, or to a moment that the state names.
func (w *world) moveClock(r *rand.Rand, state snapshot) (string, error) {
	hours := pick(r, r.IntN(24), 24*(1+r.IntN(10)), 24*(1+r.IntN(10)), 24*(10+r.IntN(50)), 24*(60+r.IntN(340)))
	d := time.Duration(hours) * time.Hour
	toMoment, which := chance(r, 2), r.IntN(3)
	if moments := w.moments(state); toMoment && len(moments) > 0 {
		d = moments[min(which, len(moments)-1)].Sub(state.now)
	}
	return fmt.Sprintf("clock +%s to %s", d.Round(time.Second), state.now.Add(d).Format(time.DateTime)), w.pass(d)
}

// moments are those to come at which something is due, the next one first.
func (*world) moments(state snapshot) []time.Time {
	var moments []time.Time
	add := func(at time.Time) {
		if at.After(state.now) {
			moments = append(moments, at)
		}
	}
	for _, o := range state.objects {
		if o.EndsAt != nil {
			add(*o.EndsAt)
		}
		for _, t := range o.Retired {
			add(t.RevokeAt)
		}
		if o.RotateAt != nil {
			add(*o.RotateAt)
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	return moments
}

// changeFacts changes what GitLab says about the project. What makes access
// required comes more often, so that walks do not end in idleness.
func (w *world) changeFacts(r *rand.Rand) string {
	switch r.IntN(7) {
	case 0, 1:
		visibility := pick(r, "private", "private", "internal", "public")
		w.gitlab.SetVisibility(w.project, visibility)
		return "visibility " + visibility
	case 2:
		w.level = pick(r, "enabled", "enabled", "private", "disabled")
		w.gitlab.SetRegistryAccessLevel(w.project, w.level)
		return "registry access level " + w.level
	case 3, 4:
		on := pick(r, gitlabtest.True, gitlabtest.True, gitlabtest.False)
		w.gitlab.SetGroupAutoDevOps(w.group, on)
		return fmt.Sprint("group Auto DevOps ", *on)
	case 5:
		w.registry = !w.registry || !chance(r, 3)
		w.gitlab.SetRegistryEnabled(w.registry)
		return fmt.Sprint("registry of the instance ", w.registry)
	default:
		path := pick(r, "acme/shop", "acme/store", "acme/kiosk")
		if path == w.path {
			return "no rename"
		}
		w.gitlab.RenameProject(w.project, path)
		w.path = path
		return "renamed to " + path
	}
}

// meddle is what people with access to GitLab do.
func (w *world) meddle(r *rand.Rand, state snapshot) string {
	victim, byButton := r.IntN(8), chance(r, 2)
	switch r.IntN(5) {
	case 0, 1:
		return w.killToken(state, victim, byButton)
	case 2, 3:
		name := pick(r, "autodevops-registry-access", "grafana", "shop-registry")
		username := pick(r, "somebody", "deployer")
		var expiry time.Time
		if chance(r, 2) {
			expiry = state.now.AddDate(0, 0, 100)
		}
		t := w.gitlab.CreateDeployToken(w.project, name, username, expiry, "read_registry")
		return fmt.Sprintf("somebody made token %d, name %q, username %q", t.ID, name, username)
	default:
		enabled := pick(r, gitlabtest.True, nil, gitlabtest.False, gitlabtest.True)
		w.gitlab.SaveAutoDevOps(w.project, enabled)
		if enabled == nil {
			return "project Auto DevOps saved as inherited"
		}
		return fmt.Sprint("project Auto DevOps saved as ", *enabled)
	}
}

// killToken ends a token of the state: the current one in half of the cases.
func (w *world) killToken(state snapshot, victim int, byButton bool) string {
	current := state.current()
	if current == nil {
		return "nothing to kill"
	}
	var ids []int64
	for _, id := range append([]int64{current.TokenID}, current.retired()...) {
		if state.active(id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "nothing to kill"
	}
	id := ids[0]
	if victim%2 == 1 {
		id = ids[victim%len(ids)]
	}
	w.dead[id] = true
	if byButton {
		w.gitlab.RevokeInSettings(id)
		return fmt.Sprintf("token %d revoked by hand", id)
	}
	w.gitlab.DeleteDeployToken(id)
	return fmt.Sprintf("token %d deleted by hand", id)
}
