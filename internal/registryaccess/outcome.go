package registryaccess

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// done is what an apply has done before it writes the outcome.
type done struct {
	// at is the time of it by GitLab's clock.
	at time.Time
	// minted is nil unless the action mints.
	minted *gitlab.Minted
	// orphans appeared while it was minted, with the same username.
	orphans []access.Orphan
	sealed  sealed
}

// newState is the state of a resource that has done nothing yet.
func newState(project gitlab.Project) model {
	m := emptyModel()
	m.setProject(project, false)
	m.Generation = types.Int64Value(0)
	m.LastAction = types.StringValue(string(access.ActionNone))
	m.withdrawCredentials()
	return m
}

// outcome is the state after the decision. The plan asks for it with nil and gets unknown
// values where the clock or GitLab will speak; the apply asks with what it has done.
// Revocations are not part of it, but for those that a plan knows.
func (a assessment) outcome(plan, config, state model, did *done) model {
	next := plan
	next.copyComputed(state)
	next.Username = nextUsername(config, state)
	if a.decision.Action != access.ActionHold || state.Required.IsNull() {
		next.setRequirement(a.requirement)
	}
	if a.decision.Changes() {
		next.LastAction = types.StringValue(string(a.decision.Action))
	}
	switch {
	case a.decision.LastChange != "":
		next.LastChange = types.StringValue(a.decision.LastChange)
	case state.LastChange.IsNull() && a.record.Current == nil:
		next.LastChange = types.StringValue("No token: " + string(a.requirement.Reason) + ".")
	}
	if did == nil {
		a.planTokens(&next, state)
	} else {
		a.settleTokens(&next, state, *did)
	}
	a.setPublication(&next, did == nil)
	next.setRevision()
	return next
}

// planTokens writes what the decision makes of the tokens, as far as a plan knows.
func (a assessment) planTokens(m *model, state model) {
	effect := a.decision.Action.Effect()
	null, unknown := timetypes.NewRFC3339Null(), timetypes.NewRFC3339Unknown()
	switch {
	case effect.Mints:
		m.Generation = types.Int64Value(a.record.Generation + 1)
		m.TokenID = types.Int64Unknown()
		m.publishLater()
		m.CreatedAt, m.ExpiresAt, m.RotateAt = unknown, unknown, unknown
		if a.policy.Schedule.Permanent {
			m.ExpiresAt, m.RotateAt = null, null
		}
		m.TokenStatus = types.StringValue(string(access.StatusActive))
	case effect.Withdraws():
		m.publishNothing(state, notSealedYet())
		m.TokenID, m.TokenStatus = types.Int64Null(), types.StringNull()
		m.CreatedAt, m.ExpiresAt, m.RotateAt = null, null, null
	case a.record.Current != nil:
		m.RotateAt = TimeValue(a.record.Scheduled(a.policy.Schedule).Current.RotateAt)
		a.keepCredentials(m, state, notSealedYet())
	default:
		m.publishNothing(state, notSealedYet())
	}
	switch {
	case effect.EndDate == access.EndDateSet:
		m.EndsAt = unknown
	case effect.EndDate == access.EndDateCleared, effect.Withdraws():
		m.EndsAt = null
	}
	m.RetiredTokens = a.plannedRetired(m, state)
}

// plannedRetired is the list of retired tokens in a plan. It is known for revocations
// that fail the apply if they fail, and for a creation.
func (a assessment) plannedRetired(m *model, state model) types.List {
	switch {
	case state.Required.IsNull() && a.record.Current == nil && a.record.Generation == 0:
		return retiredTokensValue(nil)
	case a.decision.Retires(), len(a.decision.Revoke) > 0 && !a.revocationsMustSucceed(*m, state):
		return types.ListUnknown(retiredTokenType())
	}
	remaining := a.record
	for _, id := range a.decision.Revoke {
		remaining = remaining.Without(id)
	}
	return retiredTokensValue(remaining.Retired)
}

// revocationsMustSucceed reports whether a failed revocation fails the apply. It must not
// where the published credentials change, or a publication may be uncertain: after an error, Terraform does not update the
// Secret, which then keeps what is revoked next. An end revokes what is published, so
// nothing has changed if that fails.
func (a assessment) revocationsMustSucceed(next, state model) bool {
	return a.decision.Action == access.ActionEnd ||
		!a.decision.Publish && !next.DockerConfigJSON.IsUnknown() && next.DockerConfigJSON.Equal(state.DockerConfigJSON) && next.SealedCredentials.Equal(state.SealedCredentials)
}

// settleTokens writes what the decision has made of the tokens.
func (a assessment) settleTokens(m *model, state model, did done) {
	decision := a.decision
	decision.Retire = slices.Concat(decision.Retire, did.orphans)
	record := decision.Outcome(a.record, did.at, a.policy.Schedule, tokenOf(did.minted, a.policy.Scope != ""))
	m.setRecord(record)
	switch {
	case did.minted != nil:
		m.publish(credentialsOf(m.Registry.ValueString(), *did.minted), did.sealed.token)
		m.TokenStatus = types.StringValue(string(access.StatusActive))
	case record.Current == nil:
		m.publishNothing(state, did.sealed)
		m.TokenStatus = types.StringNull()
	default:
		a.keepCredentials(m, state, did.sealed)
	}
}

// tokenOf is the record's view of a fresh token.
func tokenOf(minted *gitlab.Minted, forVariables bool) *access.Token {
	if minted == nil {
		return nil
	}
	return &access.Token{ID: minted.ID, CreatedAt: minted.CreatedAt, ExpiresAt: minted.ExpiresAt, SecretKnown: true, ForVariables: forVariables}
}

// withdrawCredentials publishes none, and seals nothing: there is nothing to hide.
func (m *model) withdrawCredentials() {
	m.Token, m.SealedCredentials = types.StringNull(), types.StringNull()
	m.DockerConfigJSON = types.StringValue(access.EmptyDockerConfig)
}

// setRevision follows the docker config, known or not. What is sealed has the revision that
// publish has given it.
func (m *model) setRevision() {
	switch {
	case !m.SealedCredentials.IsNull():
	case m.DockerConfigJSON.IsUnknown():
		m.Revision = types.Int64Unknown()
	case m.DockerConfigJSON.IsNull():
		m.Revision = types.Int64Null()
	default:
		m.Revision = types.Int64Value(access.DockerConfigRevision(m.DockerConfigJSON.ValueString()))
	}
}

// setRequirement writes the decision that people and policies read.
func (m *model) setRequirement(r access.Requirement) {
	m.Required = types.BoolValue(r.Required)
	m.Reason = types.StringValue(string(r.Reason))
	m.Explanation = types.StringValue(r.Explanation())
}

// setProject writes what GitLab said about the project. It reports whether GitLab
// named no registry although there is a token: then the last known one stays.
func (m *model) setProject(project gitlab.Project, hasToken bool) (registryMissing bool) {
	m.ID = types.StringValue(fmt.Sprint(project.ID))
	m.ProjectID = types.Int64Value(project.ID)
	m.ProjectPath = types.StringValue(project.Path)
	m.Facts = factsValue(project.Facts)
	if project.Facts.ImagePrefix == "" && hasToken {
		return true
	}
	m.ImagePrefix = stringValue(project.Facts.ImagePrefix)
	m.Registry = stringValue(access.RegistryHost(project.Facts.ImagePrefix))
	return false
}
