package registryaccess

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// updatePublication writes what the CI/CD variables hold, and which environments hold
// something else.
func (r *refresh) updatePublication(ctx context.Context, tokens []access.DeployToken) {
	scope := r.state.publicationScope()
	if scope == "" {
		return
	}
	status := r.publicationStatus(scope)
	r.state.CIStatus = stringValue(string(status))
	warnStatus(r.diags, r.state, status, r.variables.Outranking(scope))
	r.updateEnvironments(ctx, tokens)
}

// publicationStatus compares the variables with what the state has published. While nothing is
// published, only variables that were left behind are worth telling.
func (r *refresh) publicationStatus(scope string) access.CIStatus {
	credentials := r.state.credentials(r.record, r.notes.history)
	published := r.record.Current != nil && r.record.Current.SecretKnown
	switch {
	case gitlab.IsKind(r.variablesErr, gitlab.KindForbidden):
		if published {
			return access.CIUnreachable
		}
		return ""
	case published:
		return r.variables.Status(scope, credentials)
	}
	if own, _ := r.variables.PublishedBy(r.record, scope, credentials); len(own) > 0 {
		return access.CIChanged
	}
	return ""
}

// asksEnvironments: from a publication on, until an answer had no environment behind. Without an
// overlap, the plan of a rotation names those that it cuts off, so they are always asked for.
func (r *refresh) asksEnvironments() bool {
	found := r.state.environmentsBehind()
	return !r.state.PublishedAt.IsNull() && (r.state.EnvironmentsBehind.IsNull() || len(found) > 0 || r.state.endsAtOnce())
}

// updateEnvironments asks which environments hold something else than what is published. This is
// a report: a failure leaves it as it was and blocks nothing.
func (r *refresh) updateEnvironments(ctx context.Context, tokens []access.DeployToken) {
	if !r.asksEnvironments() {
		return
	}
	environments, deployments, err := r.gitlab.Environments(ctx, r.state.ProjectID.ValueInt64(), timeOf(r.state.PublishedAt))
	if err != nil {
		tflog.Warn(ctx, "registry access: cannot find out what the environments hold", map[string]any{"error": err.Error()})
		return
	}
	states := access.Survey(environments, deployments, r.history(tokens))
	behind := access.Behind(states)
	r.state.EnvironmentsBehind = environmentsValue(behind)
	if r.state.endsAtOnce() {
		for _, s := range states {
			if s.Holds == access.HoldsCurrent {
				r.observed.Holders = append(r.observed.Holders, s.Name)
			}
		}
	}
	warnEnvironments(r.diags, r.state, behind, r.gitlab.Now())
}

// history is what was published when, as far as the private state knows it.
func (r *refresh) history(tokens []access.DeployToken) access.History {
	h := r.notes.history
	history := access.History{Published: h.Published, Complete: h.Complete, RepublishedAt: h.RepublishedAt, Retired: r.record.Retired}
	if at := timeOf(r.state.PublishedAt); len(h.Published) == 0 || !h.Published[len(h.Published)-1].From.Equal(at) {
		// A state that was carried elsewhere has lost its notes.
		last := access.PublishedToken{From: at}
		if r.record.Current != nil {
			last.TokenID = r.record.Current.ID
		}
		history.Published, history.Complete = []access.PublishedToken{last}, false
	}
	now := r.gitlab.Now()
	for _, t := range tokens {
		if t.Name == access.GitLabName && t.CanPull(now) {
			history.GitLabToken, history.GitLabTokenUntil = true, r.endOf(t)
		}
	}
	return history
}

// endOf is when a token stops pulling: when it is revoked, if the record has an end for it.
func (r *refresh) endOf(t access.DeployToken) time.Time {
	for _, retired := range r.record.Retired {
		if retired.ID == t.ID {
			return retired.RevokeAt
		}
	}
	return t.ExpiresAt
}
