//go:build linux

package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const (
	promiseJobSecret = "8 a Secret that a deploy job wrote pulls until the token in it expires"
	promiseVariables = "9 a token does not end while jobs get it from the variables"
	promiseTheirs    = "10 nobody else's variable is changed or removed"
	promiseWithdrawn = "11 after a destroy, no variable has credentials of ours"
	promiseReport    = "12 an environment that is not called behind holds the current token"
	promiseJobsPull  = "5 convergence: with ci_variables, jobs get a token that pulls if it is required"
)

// checkJobSecrets: whatever a command does, it does not take the pull away from an environment.
func (w *walk) checkJobSecrets(r result) error {
	for environment, secret := range w.written {
		id := secret.tokenID
		if !secret.published || !r.before.active(id) || r.after.active(id) {
			continue
		}
		excuse := w.excuseJobSecret(r, id)
		if excuse == "" {
			return broken(promiseJobSecret, "%s holds token %d, which ended before %s", environment, id, r.before.tokens[id].ExpiresAt)
		}
		w.say("excused: %s cannot pull with token %d any more: %s", environment, id, excuse)
	}
	return nil
}

func (w *walk) excuseJobSecret(r result, id int64) string {
	old := r.before.current()
	switch {
	case r.doomed(id):
		return "a destroy or a replacement ends the tokens of its object (10)"
	case old.unproven():
		return "the object of a failed creation owns all tokens of its username (S4)"
	case w.config.noOverlap():
		return "overlap_days is 0 (10)"
	case r.before.tokens[id].ExpiresAt.IsZero() && (old.due(id, r.before.now) || old.windDownOver(r.before.now)):
		return "a token without an expiry ends half a lifetime after it was replaced (10)"
	case w.forgotten[id]:
		return "the user took the resource out of the state, so it does not know what it had published"
	}
	return ""
}

// checkVariables looks at what the command has made of the project's variables.
func (w *walk) checkVariables(r result) error {
	defer w.noteVariables()
	if err := w.checkTheirs(r); err != nil {
		return err
	}
	old := r.before.current()
	password, found := r.after.variable(access.PasswordVariable, access.DefaultScope)
	id := r.after.tokenOf(password.Value)
	outOfReach := w.noCI || r.disturbance.answers(http.StatusForbidden)
	if found && id != 0 && (outOfReach || r.killed != "") {
		w.leftInVariables[id] = true
	}
	if found && old.publishes() && old.holds(id) && r.before.active(id) && !r.after.active(id) && !outOfReach {
		return broken(promiseVariables, "jobs get token %d, which this command has ended", id)
	}
	if r.destroys && !r.failed && old.publishes() && !outOfReach {
		return w.checkWithdrawn(r, old)
	}
	return nil
}

// checkTheirs: what others have written stays. Only a publication that is at work, or one with
// overwrite, writes over it; nothing removes it.
func (w *walk) checkTheirs(r result) error {
	for _, v := range r.before.variables {
		now, found := r.after.variable(v.Key, v.Scope)
		switch {
		case !strings.Contains(v.Value, theirMark) || found && now == v:
		case !found && saysOurs(r, v):
		case !found:
			return broken(promiseTheirs, "%s (%s) was removed", v.Key, v.Scope)
		case v.Key == otherKey || v.Scope != access.DefaultScope:
			return broken(promiseTheirs, "%s (%s) was changed", v.Key, v.Scope)
		case r.reads || !w.config.overwrite && !r.before.publishes() && !r.before.ownPair():
			return broken(promiseTheirs, "%s was changed, without overwrite and without a publication at work", v.Key)
		}
	}
	return nil
}

// saysOurs reports whether the description of a variable still names a token of the state, as
// somebody has changed its value only: it counts as ours.
func saysOurs(r result, v gitlabtest.Variable) bool {
	described, _, ok := access.Variable{Description: v.Description}.Described()
	return ok && slices.ContainsFunc(r.before.objects, func(o *object) bool { return o.holds(described) })
}

// checkWithdrawn: a destroy takes back what its object has published.
func (w *walk) checkWithdrawn(r result, old *object) error {
	password, hasPassword := r.after.variable(access.PasswordVariable, access.DefaultScope)
	user, hasUser := r.after.variable(access.UserVariable, access.DefaultScope)
	theirs := hasPassword && !old.holds(r.after.tokenOf(password.Value))
	switch {
	case hasPassword && old.holds(w.tokenOfSecret(password.Value)):
		return broken(promiseWithdrawn, "%s still has a token of the destroyed object", password.Key)
	case hasUser && !theirs && user.Value == old.Username:
		return broken(promiseWithdrawn, "%s still has the username of the destroyed object", user.Key)
	}
	return nil
}

// tokenOfSecret is the id of any token that there ever was with this secret.
func (w *walk) tokenOfSecret(value string) int64 {
	for id, t := range w.seen {
		if value != "" && t.Secret == value {
			return id
		}
	}
	return 0
}

// checkPublication is what holds of the variables when nothing is left to do.
func (w *walk) checkPublication(s snapshot) error {
	o := s.current()
	password, found := s.variable(access.PasswordVariable, access.DefaultScope)
	if !w.config.ciVariables {
		if found && o.holds(s.tokenOf(password.Value)) && !w.leftInVariables[s.tokenOf(password.Value)] {
			return broken(promiseJobsPull, "without ci_variables, jobs still get token %d", s.tokenOf(password.Value))
		}
		return nil
	}
	if !o.Required || !w.serves() {
		return nil
	}
	user, _ := s.variable(access.UserVariable, access.DefaultScope)
	if password.Value != o.Token || user.Value != o.Username || o.CIStatus != string(access.CIPublished) {
		return broken(promiseJobsPull, "jobs get token %d of %q and not %d of %q; ci_status %q", s.tokenOf(password.Value), user.Value, o.TokenID, o.Username, o.CIStatus)
	}
	if err := w.checkReport(s); err != nil {
		return err
	}
	if err := w.pass(margin); err != nil {
		return err
	}
	w.say("%s", w.deploy("production"))
	if secret := w.written["production"]; secret.tokenID != o.TokenID || !w.gitlab.ClusterPulls(w.project, "production") {
		return broken(promiseJobsPull, "a deploy job has written token %d, and not %d", secret.tokenID, o.TokenID)
	}
	return nil
}

// checkReport compares environments_behind with the cluster.
func (w *walk) checkReport(s snapshot) error {
	o := s.current()
	if o.Behind == nil {
		return nil
	}
	for _, e := range w.gitlab.Environments(w.project) {
		behind := slices.ContainsFunc(*o.Behind, func(b behindState) bool { return b.Name == e.Name })
		_, inCluster, ok := w.gitlab.ClusterSecret(w.project, e.Name)
		if ok && w.deployed[e.Name] && !behind && inCluster != o.Token {
			return broken(promiseReport, "%s holds token %d, and not %d", e.Name, w.tokenOfSecret(inCluster), o.TokenID)
		}
	}
	return nil
}

// publishes reports whether the state keeps the variables.
func (o *object) publishes() bool { return o != nil && len(o.CIVariables) > 0 && o.Token != "" }

func (s snapshot) publishes() bool { return slices.ContainsFunc(s.objects, (*object).publishes) }

func (s snapshot) variable(key, scope string) (gitlabtest.Variable, bool) {
	for _, v := range s.variables {
		if v.Key == key && v.Scope == scope {
			return v, true
		}
	}
	return gitlabtest.Variable{}, false
}

// ownPair reports whether the user variable has a username of the provider's, which is taken over.
func (s snapshot) ownPair() bool {
	user, found := s.variable(access.UserVariable, access.DefaultScope)
	if !found {
		return false
	}
	return access.ReservedUsername.MatchString(user.Value) || slices.ContainsFunc(s.objects, func(o *object) bool { return o.Username == user.Value })
}

// tokenOf is the id of the token with this secret; 0 if there is none such.
func (s snapshot) tokenOf(value string) int64 {
	for id, t := range s.tokens {
		if value != "" && t.Secret == value {
			return id
		}
	}
	return 0
}

// publicationRefused reports whether a plan had to refuse to begin a publication.
func (w *walk) publicationRefused(r result) bool {
	if !w.config.ciVariables || !strings.Contains(flat(r.text()), "CI/CD variables of project") {
		return false
	}
	conflict := slices.ContainsFunc(r.before.variables, func(v gitlabtest.Variable) bool {
		ours := v.Key == access.UserVariable || v.Key == access.PasswordVariable
		return ours && (v.Scope != access.DefaultScope || !w.config.overwrite && !r.before.ownPair())
	})
	return w.noCI || conflict
}
