package registryaccess

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// setPublication writes what the decision makes of the CI/CD variables. In a plan, the time of
// a publication is unknown; in an apply it is null until GitLab has confirmed it.
func (a assessment) setPublication(m *model, planning bool) {
	if a.decision.Action == access.ActionHold {
		return
	}
	none, later := types.ListNull(environmentType()), TimeValue(time.Time{})
	if planning {
		later = timetypes.NewRFC3339Unknown()
	}
	mints, d := a.decision.Action.Effect().Mints, a.decision
	switch {
	case d.Publish && !a.republishes(), d.Unpublish && !mints && (a.policy.Scope == "" || !a.publishedAfterwards()):
		m.PublishedAt, m.EnvironmentsBehind = later, none
	case mints:
		m.PublishedAt, m.EnvironmentsBehind = TimeValue(time.Time{}), none
	case a.republishes():
		m.EnvironmentsBehind = none
	}
	if d.Unpublish && planning && !mints {
		m.PublishedAt = later // it may stay, and tells this plan from the one before, which may have failed
	}
	status := a.record.Publication.Status
	switch {
	case a.policy.Scope == "":
		m.CIStatus, m.EnvironmentsBehind = types.StringNull(), none
	case !a.publishedAfterwards() && d.Changes():
		m.CIStatus = types.StringNull()
	case d.Publish && (a.policy.Begins(a.record) || status != access.CIShadowed):
		m.CIStatus = types.StringValue(string(access.CIPublished))
	}
}

// publishedAfterwards reports whether there are credentials to publish after the decision.
func (a assessment) publishedAfterwards() bool {
	effect := a.decision.Action.Effect()
	return effect.Mints || !effect.Withdraws() && a.record.Current != nil && a.record.Current.SecretKnown
}

// republishes reports whether variables are only repaired: the credentials were published before.
func (a assessment) republishes() bool {
	return a.decision.Publish && !a.decision.Action.Effect().Mints && !a.policy.Begins(a.record) && !a.record.Publication.At.IsZero()
}

// planPublication makes sure that a publication can begin, and says what it does. It asks GitLab
// only in the plan that begins one.
func (r *Resource) planPublication(ctx context.Context, plan, state model, a assessment, tokens []access.DeployToken, diags *diag.Diagnostics) bool {
	warnPublication(diags, plan, state, a)
	if r.gitlab == nil || !a.decision.Publish || !a.policy.Begins(a.record) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	variables, err := r.gitlab.Variables(ctx, state.ProjectID.ValueInt64())
	if err != nil {
		addVariablesError(diags, "Cannot plan the publication in CI/CD variables of project "+state.ProjectPath.ValueString(), err)
		return false
	}
	if !checkConflicts(diags, plan, state, a.record, variables) {
		return false
	}
	warnTakeOver(diags, plan, state, a.record, variables)
	warnOutranked(diags, plan, state, a.record, variables)
	shadowed := a.observed.Injected
	if tokens != nil {
		shadowed = access.Injected(r.gitlab.Now(), a.record, tokens)
	}
	warnInjected(diags, state.ProjectPath.ValueString(), shadowed)
	return true
}

// checkConflicts refuses to begin a publication over variables of somebody else.
func checkConflicts(diags *diag.Diagnostics, plan, state model, record access.Record, variables access.Variables) bool {
	scope := plan.publicationScope()
	taken, outranking := variables.Conflicts(record, scope, plan.Username.ValueString(), state.ProjectID.ValueInt64())
	hidden := slices.ContainsFunc(variables.At(scope), func(v access.Variable) bool { return v.Hidden })
	switch {
	case len(outranking) > 0:
		addOutranked(diags, state, scope, outranking)
	case hidden:
		addHidden(diags, state, scope)
	case len(taken) > 0 && !plan.overwrites():
		addTaken(diags, state, taken)
	default:
		return true
	}
	return false
}

// outOfReach reports whether GitLab refuses access to the CI/CD variables: CI/CD is off, or the
// caller lacks the role or the permission.
func outOfReach(err error) bool {
	return gitlab.IsKind(err, gitlab.KindForbidden) || gitlab.IsKind(err, gitlab.KindGranularScope)
}

// prepareVariables lists the variables before anything is changed. It reports whether the apply
// can go on.
func (u *apply) prepareVariables(a assessment) bool {
	if !a.decision.Publish && !a.decision.Unpublish {
		return true
	}
	variables, err := u.gitlab.Variables(u.ctx, u.prior.ProjectID.ValueInt64())
	switch {
	case outOfReach(err) && !a.decision.Publish && (a.decision.Action != access.ActionEnd || a.observed.VariablesOff):
		u.variablesOff = true
		warnOutOfReach(u.diags, u.prior, a.record)
		return true
	case err != nil:
		addVariablesError(u.diags, u.summary, err)
		return false
	}
	u.variables = variables
	u.seedHistory(a)
	if a.decision.Publish && a.policy.Begins(a.record) && !checkConflicts(u.diags, u.plan, u.prior, a.record, variables) {
		return false
	}
	if a.decision.Unpublish && (a.policy.Scope == "" || !a.publishedAfterwards()) {
		return u.withdraw(a)
	}
	return true
}

// seedHistory notes what is published in a history that was lost.
func (u *apply) seedHistory(a assessment) {
	if current := a.record.Current; u.notes.history.Version == 0 && current != nil && current.Published {
		u.notes.history = history{
			Version: privateVersion, Scope: a.record.Publication.Scope,
			Published: []access.PublishedToken{{
				TokenID: current.ID, From: a.record.Publication.At, Until: current.ExpiresAt, Username: current.Username, Digest: digestOf(u.prior),
			}},
		}
	}
}

// digestOf recognises the secret of a state; empty if the state holds it sealed.
func digestOf(m model) string {
	if m.Token.IsNull() {
		return ""
	}
	return access.Secret(m.Token.ValueString()).Digest()
}

// withdraw removes all variables that hold what this resource has published, before anything else
// changes. It reports whether the apply can go on.
func (u *apply) withdraw(a assessment) bool {
	at, err := u.unpublish(a.record.Owning(a.decision.Retire), a.record.Publication.Scopes())
	if err != nil {
		addVariablesError(u.diags, "Cannot remove the CI/CD variables of project "+u.prior.ProjectPath.ValueString(), err)
		return false
	}
	u.notes.history = u.notes.history.withdraw(at)
	u.withdrawnAt = at
	// At once: whatever fails from here on, nothing is published any more.
	u.diags.Append(writeHistory(u.ctx, u.private, u.notes.history)...)
	return true
}

// unpublish removes the variables of these scopes that hold what this resource has published.
func (u *apply) unpublish(record access.Record, scopes []string) (time.Time, error) {
	own, others := u.variables.PublishedIn(record, scopes)
	at, err := u.gitlab.RemoveVariables(u.ctx, u.prior.ProjectID.ValueInt64(), own)
	if err == nil {
		warnVariablesLeft(u.diags, u.prior, others)
	}
	return at, err
}

// publish hands the credentials to the jobs, once the state has them. It reports whether the
// apply can go on.
func (u *apply) publish(a assessment, next *model, record access.Record, minted *gitlab.Minted) bool {
	if !u.withdrawnAt.IsZero() && minted == nil {
		next.PublishedAt = TimeValue(u.withdrawnAt)
		u.write(*next)
	}
	if a.decision.Publish && !u.publishCredentials(a, next, record, minted) {
		return false
	}
	if !u.uncertain {
		u.clearStale(a)
	}
	return true
}

func (u *apply) publishCredentials(a assessment, next *model, record access.Record, minted *gitlab.Minted) bool {
	// The state of before has the secret in the clear, unless it was sealed then.
	credentials := u.prior.credentials(a.record)
	if minted != nil {
		credentials = access.Credentials{TokenID: minted.ID, Username: minted.Username, Secret: minted.Secret}
	}
	if minted == nil && credentials.Secret == "" {
		return u.confirmSealed(a, next, credentials)
	}
	before := u.notes.history
	if !a.republishes() {
		fresh := len(before.Published) == 0 && len(u.variables) == 0
		u.notes.history = before.begin(a.policy.Scope, access.PublishedToken{
			TokenID: credentials.TokenID, Until: record.Current.ExpiresAt, Username: credentials.Username, Digest: credentials.Secret.Digest(),
		})
		u.notes.history.Complete = before.Complete || fresh
		u.diags.Append(writeHistory(u.ctx, u.private, u.notes.history)...)
	}
	at, err := u.gitlab.PublishVariables(u.ctx, gitlab.PublishRequest{
		ProjectID: u.prior.ProjectID.ValueInt64(), Scope: a.policy.Scope, Credentials: credentials, Existing: u.variables,
		Renew: a.republishes(),
	})
	switch {
	case gitlab.IsKind(err, gitlab.KindUncertain):
		u.uncertain = true
		warnUncertain(u.diags, u.prior.ProjectPath.ValueString(), record.Current.ID, err)
		return true
	case err != nil:
		u.notes.history = before
		u.diags.Append(writeHistory(u.ctx, u.private, before)...)
		u.refusePublication(next, record, err)
		return false
	}
	if a.republishes() {
		u.notes.history.RepublishedAt = at
	} else {
		u.notes.history = u.notes.history.confirm(at)
		next.PublishedAt = TimeValue(at)
	}
	u.write(*next)
	u.diags.Append(writeHistory(u.ctx, u.private, u.notes.history)...)
	return true
}

// confirmSealed notes a publication that was not certain, and that a read of the variables shows.
// The secret itself is sealed, so nothing can be written.
func (u *apply) confirmSealed(a assessment, next *model, credentials access.Credentials) bool {
	if status := u.variables.Status(a.policy.Scope, credentials); status != access.CIPublished && status != access.CIShadowed {
		u.write(u.prior)
		u.diags.AddError(u.summary, "The CI/CD variables have changed since the plan. Nothing was changed. Plan again.")
		return false
	}
	at := u.gitlab.Now().UTC().Truncate(time.Second).Add(time.Second)
	u.notes.history = u.notes.history.confirm(at)
	next.PublishedAt = TimeValue(at)
	u.write(*next)
	u.diags.Append(writeHistory(u.ctx, u.private, u.notes.history)...)
	return true
}

// clearStale removes the variables of scopes of before. What cannot be removed stays noted, and
// the next apply tries again.
func (u *apply) clearStale(a assessment) {
	stale := slices.Clone(u.notes.history.Stale)
	for _, scope := range a.record.Publication.Stale {
		if scope != u.notes.history.Scope && !slices.Contains(stale, scope) {
			stale = append(stale, scope)
		}
	}
	if !a.decision.Unpublish || len(stale) == 0 || u.variablesOff {
		return
	}
	if _, err := u.unpublish(a.record.Owning(a.decision.Retire), stale); err != nil {
		warnStale(u.diags, u.prior.ProjectPath.ValueString(), stale, err)
		return
	}
	u.notes.history.Stale = nil
	u.diags.Append(writeHistory(u.ctx, u.private, u.notes.history)...)
}

// refusePublication takes back what was made for a publication that GitLab has refused. The old
// credentials are still published, so the state of before is true.
func (u *apply) refusePublication(next *model, record access.Record, err error) {
	summary := "Cannot publish the credentials in CI/CD variables of project " + u.prior.ProjectPath.ValueString()
	if record.Current == nil || u.prior.TokenID.Equal(next.TokenID) {
		u.write(u.prior)
		addVariablesError(u.diags, summary, err)
		return
	}
	fresh := *record.Current
	now := u.gitlab.Now()
	u.saveLeftovers(access.RetiredToken{
		ID: fresh.ID, Username: next.Username.ValueString(), RetiredAt: now, RevokeAt: now, ExpiresAt: fresh.ExpiresAt, Status: access.StatusActive,
	})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), cleanupTimeout)
	defer cancel()
	if revokeErr := u.gitlab.RevokeDeployToken(ctx, u.prior.ProjectID.ValueInt64(), fresh.ID); revokeErr != nil {
		addVariablesError(u.diags, summary, &leftoverError{cause: fmt.Errorf("%w; then %w", err, revokeErr), ids: []int64{fresh.ID}})
		return
	}
	if u.creates {
		u.state.RemoveResource(u.ctx)
	} else {
		u.write(u.prior)
	}
	addVariablesError(u.diags, summary, err)
}
