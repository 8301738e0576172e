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
	mints := a.decision.Action.Effect().Mints
	switch {
	case a.decision.Publish && !a.republishes(), a.decision.Unpublish:
		m.PublishedAt, m.EnvironmentsBehind = later, none
	case mints:
		m.PublishedAt, m.EnvironmentsBehind = TimeValue(time.Time{}), none
	}
	status := a.record.Publication.Status
	switch {
	case a.policy.Scope == "":
		m.CIStatus, m.EnvironmentsBehind = types.StringNull(), none
	case !a.publishedAfterwards():
		m.CIStatus = types.StringNull()
	case a.decision.Publish && (a.policy.Begins(a.record) || status != access.CIShadowed):
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
	if !checkConflicts(diags, plan, state, variables) {
		return false
	}
	warnTakeOver(diags, plan, state, variables)
	shadowed := a.observed.Injected
	if tokens != nil {
		shadowed = access.Injected(r.gitlab.Now(), a.record, tokens)
	}
	warnInjected(diags, state.ProjectPath.ValueString(), shadowed)
	return true
}

// checkConflicts refuses to begin a publication over variables of somebody else.
func checkConflicts(diags *diag.Diagnostics, plan, state model, variables access.Variables) bool {
	scope := plan.publicationScope()
	taken, outranking := variables.Conflicts(scope, state.Username.ValueString(), state.ProjectID.ValueInt64())
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

// prepareVariables lists the variables before anything is changed. It reports whether the apply
// can go on.
func (u *apply) prepareVariables(a assessment) bool {
	if !a.decision.Publish && !a.decision.Unpublish {
		return true
	}
	variables, err := u.gitlab.Variables(u.ctx, u.prior.ProjectID.ValueInt64())
	switch {
	case gitlab.IsKind(err, gitlab.KindForbidden) && !a.decision.Publish:
		warnOutOfReach(u.diags, u.prior)
		return true
	case err != nil:
		addVariablesError(u.diags, u.summary, err)
		return false
	}
	u.variables = variables
	if a.decision.Publish && a.policy.Begins(a.record) && !checkConflicts(u.diags, u.plan, u.prior, variables) {
		return false
	}
	// Variables in the scope of before are removed only after those in the new one are there.
	if a.decision.Unpublish && !a.decision.Publish {
		return u.unpublish(a)
	}
	return true
}

// unpublish removes the variables that hold what this resource has published.
func (u *apply) unpublish(a assessment) bool {
	scope := a.record.Publication.Scope
	own, others := u.variables.PublishedBy(a.record, scope, u.prior.credentials(a.record, u.notes.history))
	at, err := u.gitlab.RemoveVariables(u.ctx, u.prior.ProjectID.ValueInt64(), own)
	if err != nil {
		addVariablesError(u.diags, "Cannot remove the CI/CD variables of project "+u.prior.ProjectPath.ValueString(), err)
		return false
	}
	warnVariablesLeft(u.diags, u.prior, others)
	u.withdrawnAt = at
	return true
}

// publish hands the credentials of the state to the jobs. It reports whether the apply can go on.
func (u *apply) publish(a assessment, next *model, record access.Record, minted *gitlab.Minted) bool {
	if a.decision.Unpublish && !a.decision.Publish {
		u.noteWithdrawal(next)
		return true
	}
	if !a.decision.Publish {
		return true
	}
	credentials := next.credentials(record, u.notes.history)
	if minted != nil {
		// The state may hold them sealed.
		credentials = access.Credentials{TokenID: minted.ID, Username: minted.Username, Secret: minted.Secret}
	}
	at, err := u.gitlab.PublishVariables(u.ctx, gitlab.PublishRequest{
		ProjectID: u.prior.ProjectID.ValueInt64(), Scope: a.policy.Scope, Credentials: credentials, Existing: u.variables,
	})
	switch {
	case gitlab.IsKind(err, gitlab.KindUncertain):
		u.uncertain = true
		warnUncertain(u.diags, u.prior.ProjectPath.ValueString(), record.Current.ID, err)
		return true
	case err != nil:
		u.refusePublication(next, record, err)
		return false
	}
	u.notePublication(a, next, record, at, credentials.Secret.Digest())
	if a.decision.Unpublish && !u.unpublish(a) {
		// The variables of the new scope are there and will be taken over.
		u.write(u.prior)
		return false
	}
	return true
}

// notePublication writes when GitLab had the credentials.
func (u *apply) notePublication(a assessment, next *model, record access.Record, at time.Time, digest string) {
	h := u.notes.history
	h.Digest = digest
	if a.republishes() {
		h.RepublishedAt = at
	} else {
		begins := a.policy.Begins(a.record)
		fresh := len(h.Published) == 0 && begins && len(u.variables.At(a.policy.Scope)) == 0
		h = h.with(access.PublishedToken{TokenID: record.Current.ID, From: at})
		h.Complete = h.Complete || fresh
		next.PublishedAt = TimeValue(at)
	}
	u.write(*next)
	u.diags.Append(writeHistory(u.ctx, u.private, h)...)
}

// noteWithdrawal writes when GitLab had the credentials no more.
func (u *apply) noteWithdrawal(next *model) {
	at := u.withdrawnAt
	if at.IsZero() {
		at = u.gitlab.Now().UTC().Truncate(time.Second).Add(time.Second)
	}
	next.PublishedAt = TimeValue(at)
	u.write(*next)
	u.diags.Append(writeHistory(u.ctx, u.private, u.notes.history.with(access.PublishedToken{From: at}))...)
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
