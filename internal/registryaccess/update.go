package registryaccess

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// Update implements resource.Resource. It carries out the decision that the plan
// showed: mint and prove first, then the new state, then revocations.
func (r *Resource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, config, state model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if !r.configured(&resp.Diagnostics) || resp.Diagnostics.HasError() {
		return
	}
	ctx = withSecretMasked(ctx, state)
	timeout, diags := plan.Timeouts.Update(ctx, operationTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	r.backend.GitLab.Applying()
	u := update{
		resource: r, plan: plan, prior: state, private: resp.Private,
		summary: fmt.Sprintf("Cannot update the registry access of project %s", state.ProjectPath.ValueString()),
		writer:  writer{ctx: ctx, state: &resp.State, identity: resp.Identity, diags: &resp.Diagnostics},
	}
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state)...)

	a, diags, err := assessExisting(ctx, plan, config, state, req.Private)
	resp.Diagnostics.Append(diags...)
	if err != nil {
		addUndecidable(&resp.Diagnostics, state.ProjectPath.ValueString(), err)
	}
	if resp.Diagnostics.HasError() || !u.asPlanned(a) || !u.stillTrue(a) {
		return
	}
	tell(ctx, "update", state.ProjectPath.ValueString(), a)
	u.carryOut(a, config)
}

// update is one Update while it runs.
type update struct {
	writer

	resource *Resource
	plan     model
	prior    model
	private  privateData
	summary  string
}

// asPlanned guards against carrying out anything that no plan has shown.
func (u *update) asPlanned(a assessment) bool {
	generation := a.record.Generation
	if a.decision.Mint {
		generation++
	}
	revokes := true
	if !u.plan.RetiredTokens.IsUnknown() {
		var planned []retiredTokenModel
		u.diags.Append(u.plan.RetiredTokens.ElementsAs(u.ctx, &planned, false)...)
		revokes = len(planned) == len(a.record.Retired)-len(a.decision.Revoke)
	}
	if !revokes || !u.plan.Generation.IsUnknown() && u.plan.Generation.ValueInt64() != generation {
		u.diags.AddError(u.summary, "The decision has changed since the plan. Nothing was changed. Plan again.")
		return false
	}
	return true
}

// stillTrue asks GitLab once more before anything that takes access away, and
// when an argument may have become another project.
func (u *update) stillTrue(a assessment) bool {
	sameProject := u.plan.Project.Equal(u.prior.Project)
	takesAway := !a.decision.Mint && !a.decision.Dead && (a.decision.Fate == access.FateRetired || a.decision.Fate == access.FateEnded)
	statesFacts := !a.requirement.Required && u.plan.overrides().Any() && (!a.decision.OnlyRevokes() || !a.decision.Changes())
	if sameProject && !takesAway && !statesFacts {
		return true
	}

	ref := u.plan.Project.ValueString()
	if sameProject {
		ref = u.prior.ID.ValueString()
	}
	project, err := u.resource.backend.GitLab.Project(u.ctx, ref)
	if err != nil {
		AddError(u.diags, u.summary, err)
		return false
	}
	if project.ID != u.prior.ProjectID.ValueInt64() {
		u.diags.AddError(u.summary, fmt.Sprintf(
			"%s turned out to be another project (id %d, not %d). Nothing was changed. Plan again: the access will be replaced.",
			ref, project.ID, u.prior.ProjectID.ValueInt64()))
		return false
	}
	if takesAway {
		now, err := access.Require(access.Mode(u.plan.Mode.ValueString()), u.plan.overrides().Apply(project.Facts))
		if err != nil {
			addUndecidable(u.diags, u.prior.ProjectPath.ValueString(), err)
			return false
		}
		if now.Required || now.RegistryMissing || a.requirement.AnonymousPull && !now.AnonymousPull {
			u.diags.AddError(u.summary, fmt.Sprintf(
				"The project has changed since the plan: access was %s and is now %s. Nothing was changed. Plan again.",
				describeRequirement(a.requirement.Required, string(a.requirement.Reason)), describeRequirement(now.Required, string(now.Reason))))
			return false
		}
	}
	if !statesFacts {
		return true
	}
	return checkArguments(u.diags, u.summary, u.plan, a.requirement, project.Facts, u.prior.ProjectPath.ValueString())
}

// carryOut does what was decided.
func (u *update) carryOut(a assessment, config model) {
	next := u.next(config)
	fresh := u.mint(next, a)
	if u.diags.HasError() {
		return
	}

	now := u.resource.backend.Now()
	record := a.record
	if a.record.Current != nil {
		current := *a.record.Current
		current.RotateAt = a.schedule.RotateAt(current.CreatedAt, current.ExpiresAt)
		record.Current = &current
	}
	var token *access.Token
	if fresh != nil {
		now, token = fresh.token.CreatedAt, &fresh.token
		// What appeared while minting ends as any stray does: after a full overlap.
		a.decision.Adopt = append(slices.Clone(a.decision.Adopt), fresh.strays...)
	}
	settled := a.decision.Settle(record, now, a.schedule, token)

	if !a.decision.Hold || u.prior.Required.IsNull() {
		next.setRequirement(a.requirement)
	}
	next.LastChange = u.prior.LastChange
	if a.decision.LastChange != "" {
		next.LastChange = types.StringValue(a.decision.LastChange)
	}
	next.setRecord(settled)
	switch {
	case fresh != nil:
		next.publish(*fresh)
	case settled.Current == nil:
		next.withdrawCredentials()
	default:
		next.Token, next.DockerConfigJSON = u.prior.Token, u.prior.DockerConfigJSON
		if !a.decision.Hold {
			next.DockerConfigJSON = types.StringValue(dockerConfigOf(u.prior))
		}
	}
	u.diags.Append(u.rememberArguments(next, a, settled)...)
	u.write(next)
	u.revoke(next, settled, a)
}

// next is the coming state as far as no decision touches it.
func (u *update) next(config model) model {
	next := u.plan
	next.ID, next.ProjectID, next.ProjectPath = u.prior.ID, u.prior.ProjectID, u.prior.ProjectPath
	next.Registry, next.ImagePrefix, next.Facts = u.prior.Registry, u.prior.ImagePrefix, u.prior.Facts
	next.UnmanagedTokenIDs = u.prior.UnmanagedTokenIDs
	next.Required, next.Reason, next.Explanation = u.prior.Required, u.prior.Reason, u.prior.Explanation
	next.Username = nextUsername(config, u.prior)
	if next.Username.IsUnknown() {
		next.Username = types.StringValue(u.importedUsername())
	}
	return next
}

// importedUsername is the one that the import chose, so that it is known although
// an apply dies. A state that was carried elsewhere by hand may have lost it.
func (u *update) importedUsername() string {
	if chosen := usernameOf(u.ctx, u.private); chosen != "" {
		return chosen
	}
	return access.NewUsername(u.prior.ProjectID.ValueInt64())
}

// mint makes the next generation if that was decided. On failure, the prior state
// stays, with the token named that could not be revoked again.
func (u *update) mint(next model, a assessment) *minted {
	if !a.decision.Mint {
		return nil
	}
	fresh, err := u.resource.mint(u.ctx, next, a, false, func(leftover access.RetiredToken) {
		suspended := u.prior
		if suspended.Username.IsNull() {
			suspended.Username = next.Username
		}
		record := a.record
		record.Retired = append(slices.Clone(record.Retired), leftover)
		suspended.RetiredTokens = retiredTokensValue(record.Retired)
		u.write(suspended)
	})
	if err == nil {
		return &fresh
	}
	if !err.leftover {
		prior := u.prior
		if prior.Username.IsNull() {
			prior.Username = next.Username // a token that GitLab may still make carries it
		}
		var refused *gitlab.Error
		if errors.As(err, &refused) && len(refused.TokenIDs) > 0 {
			prior.UnmanagedTokenIDs = idsValue(mergeIDs(u.ctx, u.prior.UnmanagedTokenIDs, refused.TokenIDs))
		}
		u.write(prior)
	}
	AddError(u.diags, u.summary, err)
	return nil
}

func mergeIDs(ctx context.Context, list types.List, more []int64) []int64 {
	var ids []int64
	if !list.IsNull() && !list.IsUnknown() {
		list.ElementsAs(ctx, &ids, false)
	}
	ids = append(ids, more...)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// rememberArguments notes what a fresh token was minted with. A token that stays
// keeps its note, so that changed arguments replace it once it is required again.
func (u *update) rememberArguments(next model, a assessment, settled access.Record) diag.Diagnostics {
	if !a.decision.Mint || settled.Current == nil {
		return nil
	}
	return writePrivate(u.ctx, u.private, u.private, mintedWithKey, argumentsOf(next, settled.Current.ID))
}

// revoke deletes the tokens that are due. Each one that is gone leaves the state
// at once; each that is not stays in it, with an error.
func (u *update) revoke(next model, record access.Record, a assessment) {
	projectID := u.prior.ProjectID.ValueInt64()
	var failures diag.Diagnostics
	for _, id := range a.decision.DueAfterSettling(a.record, a.schedule) {
		ends := record.Current != nil && record.Current.ID == id
		published := a.record.Current != nil && a.record.Current.ID == id && !a.decision.Dead
		if published && failures.HasError() {
			// After an error the Secret is not updated, so what it holds must live on.
			if ends {
				next.LastChange = u.prior.LastChange
			}
			continue
		}
		if err := u.resource.backend.GitLab.RevokeDeployToken(u.ctx, projectID, id); err != nil {
			AddError(&failures, fmt.Sprintf("Cannot revoke deploy token %d of project %s", id, u.prior.ProjectPath.ValueString()), err)
			if ends {
				next.LastChange = u.prior.LastChange
			}
			continue
		}
		record = record.Without(id)
		next.setRecord(record)
		if ends {
			next.withdrawCredentials()
		}
		u.write(next)
	}
	if failures.HasError() {
		u.write(next)
		u.diags.Append(failures...)
	}
}
