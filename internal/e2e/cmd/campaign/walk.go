//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const (
	stepsOfAWalk = 25
	// convergeEvery is after how many steps a walk waits until all is settled.
	convergeEvery = 8
	// haste is how much shorter the provider's pauses between requests are.
	haste = 500
)

// walk is one random walk, with a GitLab and a folder of its own.
type walk struct {
	*world

	campaign *campaign
	cli      *terraform.CLI
	killer   *killer
	config   configuration
	seed     uint64
	step     int
	journal  []string
	last     result

	// seen are all tokens that were ever seen, with their secrets.
	seen map[int64]gitlabtest.Token
	// published are all docker configs that the state ever had, by their digests.
	published map[string]string
	// abandoned are tokens of the provider that no state knows, for a reason that the
	// walk knows: a killed creation, a lost save, an object that left the state.
	abandoned map[int64]bool
	// orphans are tokens that carried the state's username when the state did not hold them.
	orphans map[int64]bool
	// forgotten are tokens of objects that the user has taken out of the state.
	forgotten map[int64]bool
	// leftInVariables are tokens in variables that could not be removed, as CI/CD was off, and in
	// those of which the state could not be told.
	leftInVariables map[int64]bool
}

func newWalk(c *campaign, seed uint64) (*walk, error) {
	clock, err := os.MkdirTemp("", "clock")
	if err != nil {
		return nil, err
	}
	world, err := newWorld(filepath.Join(clock, "clock"))
	if err != nil {
		return nil, err
	}
	w := &walk{world: world, campaign: c, seed: seed, published: map[string]string{}, seen: map[int64]gitlabtest.Token{}, abandoned: map[int64]bool{}, orphans: map[int64]bool{},
		forgotten: map[int64]bool{}, leftInVariables: map[int64]bool{},
	}
	w.killer = newKiller(w.gitlab)
	token := w.gitlab.CreateAccessToken(w.gitlab.GroupMember(w.group, gitlabtest.Maintainer), "api")
	w.cli, err = terraform.NewInstalled(c.cli, c.configFile,
		"GITLAB_BASE_URL="+w.gitlab.URL, "GITLAB_TOKEN="+token, "E2E_CLOCK="+w.clockFile, "E2E_HASTE="+strconv.Itoa(haste))
	if err != nil {
		w.gitlab.Close()
	}
	return w, err
}

func (w *walk) close() {
	w.cli.Close()
	w.gitlab.Close()
	_ = os.RemoveAll(filepath.Dir(w.clockFile))
}

func (w *walk) stateFile() string { return filepath.Join(w.cli.Dir, "terraform.tfstate") }

func (w *walk) run(ctx context.Context) error {
	for w.step = 1; w.step <= stepsOfAWalk && (w.step == 1 || time.Now().Before(w.campaign.until)); w.step++ {
		begun := time.Now()
		// Each step has its own chances, so that one that went otherwise than the last
		// time does not change those of the next.
		r := rand.New(rand.NewPCG(w.seed, uint64(w.step))) //nolint:gosec // reproducible on purpose
		err := w.takeStep(ctx, r)
		w.campaign.tally.steps++
		w.campaign.tally.stepping += time.Since(begun)
		if err != nil {
			return err
		}
		if w.step%convergeEvery == 0 {
			if err := w.converge(ctx); err != nil {
				return err
			}
		}
	}
	return w.converge(ctx)
}

// takeStep lets things happen, and runs one or a few commands.
func (w *walk) takeStep(ctx context.Context, r *rand.Rand) error {
	if err := w.pass(time.Duration(1+r.IntN(20)) * time.Minute); err != nil {
		return err
	}
	if w.step > 1 && !chance(r, 4) {
		if err := w.happen(r); err != nil {
			return err
		}
	}
	changes, rotates, wanted, mode := chance(r, 3), chance(r, 3), chance(r, 3), pick(r, "", "always")
	if publishes := chance(r, 2); w.step == 1 {
		w.config.ciVariables = publishes
	}
	if w.step > 1 && changes {
		w.say("configuration: %s", w.config.change(r))
	}
	if rotates { // most of what can go wrong is about a new token
		w.config.round++
		w.say("configuration: rotate_when_changed %d", w.config.round)
	}
	if wanted {
		w.want(mode)
	}
	if err := w.writeConfig(); err != nil {
		return err
	}
	return w.act(ctx, r)
}

// want makes access required, so that no walk ends in idleness.
func (w *walk) want(mode string) {
	w.gitlab.SetVisibility(w.project, "private")
	w.gitlab.SetRegistryAccessLevel(w.project, "enabled")
	w.gitlab.SetRegistryEnabled(true)
	w.gitlab.SetGroupAutoDevOps(w.group, gitlabtest.True)
	w.level, w.registry, w.config.mode = "enabled", true, mode
	w.say("access is wanted: private, registry enabled, Auto DevOps on for the group, mode %q", mode)
}

// happen is one event outside of the CLI.
func (w *walk) happen(r *rand.Rand) error {
	state, err := w.look()
	if err != nil {
		return err
	}
	what, err := w.move(r, state)
	w.say("%s", what)
	return err
}

func (w *walk) writeConfig() error {
	project := w.path
	if w.config.byID {
		project = strconv.FormatInt(w.project.ID, 10)
	}
	return w.cli.Write(w.config.render(project))
}

// converge expects that undisturbed applies settle everything. One is enough for
// most; a window that the first one has moved opens for the second, and a wind-down
// without overlap that the second starts is over for the third.
func (w *walk) converge(ctx context.Context) error {
	w.campaign.tally.convergences++
	if err := w.writeConfig(); err != nil { // the path is the project's own again
		return err
	}
	if err := w.makeWay(); err != nil {
		return err
	}
	for range 2 {
		if _, err := w.runCommand(ctx, w.apply(disturbance{})); err != nil {
			return err
		}
	}
	plan := command{args: []string{"plan", "-input=false", "-no-color", "-detailed-exitcode"}, reads: true, detailed: true}
	res, err := w.runCommand(ctx, plan)
	if err == nil && res.code == 2 {
		if _, err = w.runCommand(ctx, w.apply(disturbance{})); err == nil {
			res, err = w.runCommand(ctx, plan)
		}
	}
	if err != nil {
		return err
	}
	if res.code != 0 {
		return broken("5 convergence: undisturbed applies end in an empty plan", "the plan is not empty after three of them")
	}
	if err := w.checkSettled(res.after); err != nil {
		return err
	}
	return w.checkPublication(res.after)
}

// makeWay lets people do what errors of the provider ask for.
func (w *walk) makeWay() error {
	state, err := w.look()
	if err != nil {
		return err
	}
	if w.config.ciVariables || state.publishes() {
		w.setCI(true)
		current := state.current()
		begins := !current.publishes() || current.Tainted || !w.config.ciVariables
		w.cleanUp(begins && !w.config.overwrite)
		w.say("CI/CD is on, and variables that are in the way are removed")
	}
	return nil
}

// checkSettled is what holds when nothing is left to do.
func (w *walk) checkSettled(s snapshot) error {
	o := s.current()
	switch {
	case o == nil || s.secret == nil:
		return broken("5 convergence", "the access or the Secret is not in the state")
	case s.secret.text != o.Config:
		return broken("5 convergence: the Secret holds what the access publishes", "it holds something else")
	case o.Required && w.serves() && !s.pulls:
		return broken("5 convergence: the Secret pulls if access is required", "it does not; token %d", o.TokenID)
	}
	// Whatever is due is revoked, so that the number of living tokens is bounded.
	const promise = "4 bounded: settled, only the current token and tokens inside their overlap live"
	for _, id := range o.retired() {
		// While GitLab names no registry, everything is kept (3.3).
		if o.due(id, s.now) && w.registry {
			return broken(promise, "token %d is still to be revoked", id)
		}
	}
	for id, t := range s.tokens {
		switch {
		case !t.Active || w.others[id] || w.abandoned[id] || s.held(id):
		case access.ReservedUsername.MatchString(t.Username):
			return broken(promise, "token %d lives, and is not held", id)
		case !slices.Contains(o.Unmanaged, id):
			// With a username that the user chose, nothing tells it from somebody else's.
			return broken(promise, "token %d of %q lives, and is neither held nor listed as unmanaged", id, t.Username)
		}
	}
	return nil
}

// loseState takes the state back to what it was before, but for the Secret, which is in the cluster.
func (w *walk) loseState(older rawState) error {
	newer, err := readState(w.stateFile())
	if err != nil || newer == nil {
		return err
	}
	restored, err := newer.withAccessOf(older)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(restored)
	if err != nil {
		return err
	}
	err = errors.Join(os.WriteFile(w.stateFile(), encoded, 0o600), w.abandonUnaccounted())
	w.say("the state of that was lost")
	return err
}

// abandonUnaccounted notes what the state does not know any more, and which tokens
// of it are dead already.
func (w *walk) abandonUnaccounted() error {
	s, err := w.look()
	if err != nil {
		return err
	}
	password, _ := s.variable(access.PasswordVariable, access.DefaultScope)
	w.leftInVariables[s.tokenOf(password.Value)] = true
	for id, t := range s.tokens {
		switch {
		case !t.Active || w.others[id]:
		case w.accounted(s, id):
			w.markOrphan(s, id)
		default:
			w.abandoned[id] = true
		}
	}
	for _, o := range s.objects {
		for _, id := range append(slices.Clone(o.retired()), o.TokenID) {
			if !s.active(id) {
				w.dead[id] = true
			}
		}
	}
	return nil
}
