//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// command is one call of the CLI, and what its user knows about it.
type command struct {
	args []string
	// destroys: the command destroys everything, the Secret first.
	destroys bool
	// replaces: the user asked for another object.
	replaces bool
	// reads: the command changes nothing in GitLab.
	reads bool
	// stale: the command decides from what GitLab said earlier (-refresh=false, or a
	// plan after which something has happened), so it may refuse, and see nothing.
	stale bool
	// detailed: exit code 2 means changes.
	detailed bool
	// mayFail: the command can be refused without a fault.
	mayFail bool

	disturbance disturbance
}

// result is what a command did.
type result struct {
	command

	before, after  snapshot
	stdout, stderr string
	failed         bool
	code           int
	requests       []gitlabtest.Request
	// killed is the request at which a process was killed.
	killed string
}

func (r result) text() string { return r.stdout + r.stderr }

// replacing reports whether the command was to destroy the current object in order
// to make another.
func (r result) replacing() bool {
	old := r.before.current()
	return r.replaces || old != nil && old.Tainted
}

// doomed reports whether the token was held by an object that the command was to destroy.
func (r result) doomed(id int64) bool {
	if r.reads {
		return false
	}
	for _, o := range r.before.objects {
		if o.holds(id) && (r.destroys || o.Deposed || o.Tainted || r.replaces) {
			return true
		}
	}
	return false
}

// runCommand runs one command, and checks every promise that concerns it.
func (w *walk) runCommand(ctx context.Context, c command) (result, error) {
	res := result{command: c}
	var err error
	if res.before, err = w.look(); err != nil {
		return res, err
	}
	for _, fault := range c.disturbance.faults {
		w.campaign.tally.faults++
		w.gitlab.Inject(fault)
	}
	w.gitlab.ForgetRequests()
	running, err := w.killer.start(c.disturbance.kill, func() (*terraform.Running, error) { return w.cli.Start(ctx, c.args...) })
	if err != nil {
		return res, err
	}
	stdout, failure := running.Wait()
	res.killed = w.killer.end()
	w.gitlab.ClearFaults()
	res.requests = w.gitlab.Requests()
	res.stdout, res.stderr = stdout, running.Stderr()
	res.code = running.ExitCode()
	res.failed = failure != nil && (!c.detailed || res.code != 2)
	if res.killed != "" {
		w.campaign.tally.kills++
	}
	w.campaign.tally.commands++
	if ctx.Err() != nil {
		return res, ctx.Err()
	}
	if res.after, err = w.look(); err != nil {
		return res, err
	}
	w.last = res
	w.note(res)
	return res, w.check(res)
}

// note writes the command into the journal.
func (w *walk) note(res result) {
	outcome := "ok"
	if res.failed {
		outcome = "failed: " + firstError(res.stderr)
	}
	if res.killed != "" {
		outcome += ", killed at " + res.killed
	}
	w.say("%s%s: %s", strings.Join(res.args, " "), res.disturbance, outcome)
}

func firstError(stderr string) string {
	for line := range strings.SplitSeq(stderr, "\n") {
		if _, message, found := strings.Cut(line, "Error: "); found {
			return message
		}
	}
	return "without an error message"
}

// look takes a snapshot of state and GitLab.
func (w *walk) look() (snapshot, error) {
	s := snapshot{now: w.gitlab.Clock.Now(), tokens: map[int64]gitlabtest.Token{}}
	raw, err := readState(w.stateFile())
	if err != nil {
		return s, err
	}
	var digest string
	if s.objects, digest, err = raw.decode(); err != nil {
		return s, err
	}
	for _, o := range s.objects {
		w.published[fmt.Sprintf("%x", sha256.Sum256([]byte(o.Config)))] = o.Config
	}
	if digest != "" {
		s.secret = newSecret(w.published[digest])
	}
	for _, t := range w.gitlab.Tokens(w.project) {
		// GitLab accepts a token in the very instant of its expiry; nobody counts on that.
		t.Active = t.Active && (t.ExpiresAt.IsZero() || s.now.Before(t.ExpiresAt))
		s.tokens[t.ID], w.seen[t.ID] = t, t
	}
	s.variables = w.gitlab.Variables(w.project)
	if s.secret != nil {
		s.pulls = w.gitlab.CanPull(w.project, s.secret.username, s.secret.password)
	}
	return s, nil
}

// say adds a line to the journal.
func (w *walk) say(format string, args ...any) {
	line := fmt.Sprintf("%2d. %s  %s", w.step, w.gitlab.Clock.Now().Format(time.DateOnly), fmt.Sprintf(format, args...))
	w.journal = append(w.journal, line)
	if w.campaign.verbose {
		fmt.Println(line)
	}
}
