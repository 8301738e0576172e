package registryaccess

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// mayBePublished reports whether CI/CD variables may hold something of this resource.
func (r *refresh) mayBePublished() bool {
	p := r.record.Publication
	return r.state.publicationScope() != "" || p.Scope != "" || len(p.Stale) > 0
}

// updatePublication writes what the CI/CD variables hold, and which environments hold
// something else.
func (r *refresh) updatePublication(ctx context.Context, tokens []access.DeployToken) {
	if !r.mayBePublished() {
		return
	}
	r.observed.VariablesOff = outOfReach(r.variablesErr)
	r.observed.LeftScopes = slices.DeleteFunc(r.variables.ScopesOf(r.record.Owning(r.observed.Orphans)), func(scope string) bool {
		return scope == r.record.Publication.Scope
	})
	scope := r.state.publicationScope()
	if scope == "" {
		return // what is left will be removed
	}
	status := r.publicationStatus()
	r.state.CIStatus = stringValue(string(status))
	warnStatus(r.diags, r.state, status, r.variables.Outranking(scope))
	if status == access.CIChanged && r.variables.OwnPair(scope, "", r.state.ProjectID.ValueInt64()) {
		warnTwoResources(r.diags, r.state, r.record, r.variables)
	}
	r.updateEnvironments(ctx, tokens, status)
}

// publicationStatus compares the variables with what was published.
func (r *refresh) publicationStatus() access.CIStatus {
	p := r.record.Publication
	switch {
	case p.Scope == "":
		return "" // nothing is published yet, or any more
	case r.observed.VariablesOff:
		return access.CIUnreachable
	case r.record.Current == nil || !r.record.Current.SecretKnown:
		return "" // what is left will be removed
	}
	return r.variables.Status(p.Scope, r.state.credentials(r.record))
}

// asksEnvironments: from a publication on, until an answer had no environment behind. Without an
// overlap, the plan of a rotation names those that it cuts off, so they are always asked for.
func (r *refresh) asksEnvironments() bool {
	found := r.state.environmentsBehind()
	return !r.state.PublishedAt.IsNull() && (r.state.EnvironmentsBehind.IsNull() || len(found) > 0 || r.state.endsAtOnce())
}

// updateEnvironments asks which environments hold something else than what is published. This is
// a report: a failure leaves it as it was and blocks nothing.
func (r *refresh) updateEnvironments(ctx context.Context, tokens []access.DeployToken, status access.CIStatus) {
	r.observed.Holders = r.notes.observed.Holders
	if !r.asksEnvironments() {
		return
	}
	environments, deployments, err := r.gitlab.Environments(ctx, r.state.ProjectID.ValueInt64(), timeOf(r.state.PublishedAt))
	if err != nil {
		tflog.Warn(ctx, "registry access: cannot find out what the environments hold", map[string]any{"error": err.Error()})
		return
	}
	states := access.Survey(environments, deployments, r.history(tokens, status))
	behind := access.Behind(states)
	r.state.EnvironmentsBehind = environmentsValue(behind)
	r.observed.Holders = nil
	for _, s := range states {
		if r.record.Owns(s.TokenID) {
			if r.observed.Holders == nil {
				r.observed.Holders = map[int64][]string{}
			}
			r.observed.Holders[s.TokenID] = append(r.observed.Holders[s.TokenID], s.Name)
		}
	}
	warnEnvironments(r.diags, r.state, behind, r.gitlab.Now())
}

// history is what was published when, as far as the private state knows it.
func (r *refresh) history(tokens []access.DeployToken, status access.CIStatus) access.History {
	h := r.notes.history
	now := r.gitlab.Now()
	history := access.History{
		Complete: h.Complete, RepublishedAt: h.RepublishedAt, Retired: r.record.Retired, Now: now,
		Public: r.state.facts().Visibility == access.VisibilityPublic,
	}
	for _, p := range h.Published {
		if !p.From.IsZero() {
			history.Published = append(history.Published, p)
		}
	}
	if h.Version == 0 {
		// A state that was carried elsewhere has lost its notes.
		last := access.PublishedToken{From: timeOf(r.state.PublishedAt)}
		if r.record.Current != nil {
			last.TokenID = r.record.Current.ID
		}
		history.Published = []access.PublishedToken{last}
	}
	if scope := r.record.Publication.Scope; scope != "" {
		// Jobs get the variables as they are now: nothing is certain while these are not ours.
		intact := status == access.CIPublished || status == access.CIShadowed
		history.Reaches = func(environment string) bool { return intact && r.variables.Reaches(scope, environment) }
	}
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
