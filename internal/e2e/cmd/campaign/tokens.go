//go:build linux

package main

import (
	"net/http"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const (
	promiseAccounted = "2 tokens are accounted for"
	promiseEnded     = "2 a command ends only tokens that its plan names (S3), and those only when they are due (S2)"
	promiseOthers    = "2 tokens that others made are left alone"
	promisePublished = "3 a token that the state publishes is alive"
	promiseBounded   = "4 tokens are few and end by themselves"
)

// check checks every promise after a command.
func (w *walk) check(r result) error {
	for _, promise := range []func(result) error{
		w.checkOutput, w.checkEnds, w.checkStops, w.checkMinted, w.checkAccounted, w.checkSecret, w.checkPublishFirst, w.checkPublished,
		w.checkJobSecrets, w.checkVariables,
	} {
		if err := promise(r); err != nil {
			return err
		}
	}
	return nil
}

// checkEnds looks at each token that was alive before the command and is not after it.
func (w *walk) checkEnds(r result) error {
	for id, t := range r.before.tokens {
		_, there := r.after.tokens[id]
		switch {
		case w.others[id] && !there:
			return broken(promiseOthers, "token %d was deleted, which somebody else made", id)
		case t.Active && !r.after.active(id) && !w.mayEnd(r, id):
			return broken(promiseEnded, "token %d of %q ended", id, t.Username)
		}
	}
	return nil
}

// mayEnd reports whether a plan of the command could say that it ends the token.
func (w *walk) mayEnd(r result, id int64) bool {
	old := r.before.current()
	switch {
	case r.reads:
		return false
	case r.doomed(id):
		return true
	case old == nil:
		return false
	case old.unproven() && r.before.tokens[id].Username == old.Username:
		return true // S4: it owns all tokens of its username
	case old.due(id, r.before.now):
		// A copy of this state may have published an orphan (3.4): it ends by itself.
		return !w.orphans[id] || r.before.tokens[id].ExpiresAt.IsZero()
	case w.config.noOverlap() && old.holds(id) && (w.config.ciVariables || old.PublishedAt != nil):
		return true // overlap_days = 0 makes all retired tokens due (10)
	case old.TokenID == id:
		return old.windDownOver(r.before.now) || w.config.noOverlap()
	}
	return false
}

// checkStops: after the first DELETE that failed, a call revokes nothing more (S2).
// Where several objects end, each has calls of its own.
func (w *walk) checkStops(r result) error {
	if len(r.before.objects) != 1 || r.replacing() {
		return nil
	}
	failed := ""
	for _, request := range r.requests {
		if request.String() != deleteToken {
			continue
		}
		if failed != "" && failed != request.Path {
			return broken(promiseEnded, "%s failed, and %s was asked for all the same", failed, request.Path)
		}
		gone := request.Status == http.StatusNotFound && !r.disturbance.answers(http.StatusNotFound)
		failed = request.Path
		if !request.Cut && (request.Status == http.StatusNoContent || gone) {
			failed = ""
		}
	}
	return nil
}

// mintedAtMost is how many tokens one command may leave: the provider makes a POST
// of unknown fate again, three times in all (section 4).
const mintedAtMost = 3

// checkMinted looks at each token that the command has made.
func (w *walk) checkMinted(r result) error {
	minted := 0
	for id, t := range r.after.tokens {
		if _, known := r.before.tokens[id]; known {
			continue
		}
		if minted++; minted > mintedAtMost || r.reads {
			return broken(promiseBounded, "a command has left %d new tokens", minted)
		}
		limit := r.before.now.AddDate(0, 0, w.config.lifetime())
		switch {
		case t.ExpiresAt.IsZero() && w.config.permanent:
		case t.ExpiresAt.IsZero():
			return broken(promiseBounded, "token %d has no expiry", id)
		case w.config.permanent, t.ExpiresAt.After(limit), t.ExpiresAt.Before(limit.Add(-24 * time.Hour)):
			return broken(promiseBounded, "token %d expires at %s", id, t.ExpiresAt)
		}
	}
	return nil
}

// checkAccounted looks for living tokens of the provider that nobody finds.
func (w *walk) checkAccounted(r result) error {
	for id, t := range r.after.tokens {
		if !t.Active || w.others[id] || w.abandoned[id] {
			continue
		}
		if w.accounted(r.after, id) {
			w.markOrphan(r.after, id)
			continue
		}
		if !w.mayBeAbandoned(r, id) {
			return broken(promiseAccounted, "token %d of %q lives, and neither state nor configuration lead to it", id, t.Username)
		}
		w.abandoned[id] = true
		w.say("token %d of %q is abandoned", id, t.Username)
	}
	return nil
}

// markOrphan notes a token of which only the username tells that it is the state's.
func (w *walk) markOrphan(s snapshot, id int64) {
	if !s.held(id) && access.ReservedUsername.MatchString(s.tokens[id].Username) {
		w.orphans[id] = true
	}
}

// mayBeAbandoned: a killed creation has no state, and an orphan loses its mark when
// the only object with its username is destroyed (which leaves orphans alone) or
// gets another one.
func (w *walk) mayBeAbandoned(r result, id int64) bool {
	old := r.before.current()
	if _, known := r.before.tokens[id]; !known {
		// An import has noted a username, which the CLI forgets when the provider dies. The next
		// plan lists the token as unmanaged, by its name.
		creating := old == nil || r.replacing() || old.Username == ""
		return creating && r.killed != ""
	}
	switch {
	case r.args[0] == "state":
		return true // the user has taken it out of the state
	case old.unproven() && old.Username == r.before.tokens[id].Username:
		return false // S4: its destroy ends them
	}
	return !r.before.held(id)
}

// checkPublished looks at the tokens whose secrets are in the state.
func (w *walk) checkPublished(r result) error {
	for _, o := range r.after.objects {
		id := o.TokenID
		if o.Token == "" || r.after.active(id) || w.ended(r.before, id) || w.ended(r.after, id) {
			continue
		}
		// The state could not be told of the end: the answer to the DELETE got lost, or
		// the process died. The end itself was announced, see checkEnds.
		if !r.failed || !r.before.active(id) {
			return broken(promisePublished, "token %d is dead (required: %v)", id, o.Required)
		}
		w.dead[id] = true
		w.say("token %d ended, and the state could not be told", id)
	}
	return nil
}
