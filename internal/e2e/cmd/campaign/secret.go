//go:build linux

package main

const (
	promiseSecret = "1 what the Secret holds pulls, if it did before the command" //nolint:gosec // a sentence
	promiseFirst  = "1 a call that has published a new token ends without an error (S1)"
)

// checkSecret checks that a command did not take a pull away. Time, facts and people
// change only between commands, so whatever they took away is not counted here.
func (w *walk) checkSecret(r result) error {
	if r.before.secret == nil || !r.before.pulls || r.after.pulls {
		return nil
	}
	var excuse string
	switch {
	case r.after.secret == nil:
		if r.destroys {
			return nil // the user destroyed the Secret
		}
		return broken(promiseSecret, "the Secret is gone")
	case r.after.secret.text == r.before.secret.text:
		excuse = w.excuseEnd(r, r.before.secretToken())
	case r.after.secret.password == "":
		excuse = w.excuseEmpty(r)
	default:
		excuse = w.excuseDead(r)
	}
	if excuse == "" {
		return broken(promiseSecret, "the Secret held token %d, now holds token %d, and does not pull", r.before.secretToken(), r.after.secretToken())
	}
	w.say("excused: the Secret does not pull: %s", excuse)
	return nil
}

// checkPublishFirst: an error after a minting keeps the CLI from updating the Secret.
func (w *walk) checkPublishFirst(r result) error {
	old, now := r.before.current(), r.after.current()
	if !r.failed || r.killed != "" || now == nil || now.Token == "" || now.Tainted {
		return nil
	}
	fresh := old == nil || old.TokenID != now.TokenID
	if fresh && (r.after.secret == nil || r.after.secret.text != now.Config) {
		return broken(promiseFirst, "token %d is published, and the command failed: %s", now.TokenID, firstError(r.stderr))
	}
	return nil
}

// excuseEnd is for a Secret that stayed, whose token ended. A command that succeeded
// has updated the Secret, so each excuse needs one that did not get that far. There
// is none for a rotation (S2) and none for an error after a minting (S1).
func (w *walk) excuseEnd(r result, id int64) string {
	old := r.before.current()
	switch {
	case !r.failed:
		return ""
	case r.destroys:
		return "a destroy ends all tokens (3.4)"
	case r.doomed(id) && r.replacing() && !w.config.createBeforeDestroy:
		return "without create_before_destroy, the old object's tokens end before there are new ones (S3)"
	case r.doomed(id) && !old.holds(id):
		// Its replacement was published by an earlier command; the order of this one is the CLI's.
		return "a replaced object was destroyed before the CLI came to the Secret (S3)"
	case old.due(id, r.before.now):
		return "an earlier command did not come to the Secret, and the overlap of its token is over (3.4)"
	case old.holds(id) && old.windDownOver(r.before.now):
		return "the announced wind-down was over (3.4)"
	case old.holds(id) && w.config.noOverlap() && r.killed != "":
		return "overlap_days is 0, and the apply was killed before it came to the Secret (S2)"
	}
	return ""
}

// excuseEmpty is for a Secret that was emptied although anonymous pulls fail.
func (w *walk) excuseEmpty(r result) string {
	old, now := r.before.current(), r.after.current()
	switch {
	case now == nil || now.Required && !r.stale:
		return ""
	case old == nil || r.replacing():
		return "a new object that is not required publishes nothing (3.3)"
	case old.TokenID != 0 && old.Token == "":
		return "GitLab does not show an imported token's secret, and no new one is required (3.4)"
	case old.windDownOver(r.before.now):
		return "the announced wind-down was over (3.4)"
	case r.stale && !r.before.held(r.before.secretToken()):
		return "the state that knew the token in the Secret was lost, and GitLab was not asked (3.5)"
	case old.Token == "":
		// The end of its wind-down, or its withdrawal, was an earlier command, after
		// which the CLI did not come to the Secret.
		return "the access had ended earlier (3.4)"
	}
	return ""
}

// excuseDead is for a Secret that got dead credentials: only where nobody had asked
// GitLab about them.
func (w *walk) excuseDead(r result) string {
	id := r.after.secretToken()
	if r.stale && id == 0 || r.stale && w.ended(r.after, id) {
		return "the token died after GitLab was last asked (3.5)"
	}
	return ""
}

// ended reports whether a token is dead for a reason that is not the provider's.
func (w *walk) ended(s snapshot, id int64) bool {
	t, there := s.tokens[id]
	if w.dead[id] || !there {
		return w.dead[id]
	}
	return !t.ExpiresAt.IsZero() && !s.now.Before(t.ExpiresAt)
}
