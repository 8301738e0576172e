package registryaccess

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// Create implements resource.Resource.
func (r *Resource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !r.configured(&resp.Diagnostics) || resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, operationTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	r.backend.GitLab.Applying()
	summary := fmt.Sprintf("Cannot create the registry access of project %s", plan.Project.ValueString())
	s, err := r.find(ctx, plan.Project.ValueString())
	if err != nil {
		AddError(&resp.Diagnostics, summary, err)
		return
	}
	want, diags := wantedOf(ctx, plan)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	a := assessNew(want, s.project)
	if a.err != nil {
		addUndecidable(&resp.Diagnostics, plan.Project.ValueString(), a.err)
		return
	}
	tell(ctx, "creation", s.project.Path, a.assessment)
	if !r.agrees(&resp.Diagnostics, summary, plan, a.assessment, s) {
		return
	}

	now := r.backend.Now()
	next := plan
	next.setProject(s.project, false)
	next.setRequirement(a.requirement)
	next.LastChange = types.StringValue(creationStory(a.assessment))
	if config.Username.IsNull() {
		next.Username = types.StringValue(access.NewUsername(s.project.ID))
	}
	next.withdrawCredentials()
	next.setRecord(a.record)
	unmanaged := access.Unmanaged(now, access.Record{}, access.Sighting{Tokens: s.tokens}, next.Name.ValueString(), "", "")
	next.UnmanagedTokenIDs = idsValue(access.IDs(unmanaged))

	private := resp.Private
	w := writer{ctx: ctx, state: &resp.State, identity: resp.Identity, diags: &resp.Diagnostics}
	if a.decision.Mint {
		if created, ok := r.createToken(ctx, w, summary, next, a, config.Username.IsNull()); ok {
			resp.Diagnostics.Append(writePrivate(ctx, private, private, mintedWithKey, argumentsOf(created, created.TokenID.ValueInt64()))...)
		}
		return
	}
	w.write(next)
}

// createToken mints the first token. Without a proven one, there is no state
// unless it is needed to find a token that could not be deleted again.
func (r *Resource) createToken(ctx context.Context, w writer, summary string, next model, a newAssessment, freshUsername bool) (model, bool) {
	minted, err := r.mint(ctx, next, a.assessment, freshUsername, func(leftover access.RetiredToken) {
		suspended := next
		record := a.record
		record.Retired = []access.RetiredToken{leftover}
		suspended.setRecord(record)
		w.write(suspended)
	})
	if err != nil {
		if !err.leftover {
			w.state.RemoveResource(ctx)
		}
		AddError(w.diags, summary, err)
		return next, false
	}
	next.setRecord(a.decision.Settle(a.record, minted.token.CreatedAt, a.schedule, &minted.token))
	next.publish(minted)
	w.write(next)
	return next, true
}

// agrees compares what the plan promised with what GitLab says at the apply.
func (r *Resource) agrees(diags *diag.Diagnostics, summary string, plan model, a assessment, s subject) bool {
	if !plan.Required.IsUnknown() && plan.Required.ValueBool() != a.requirement.Required ||
		!plan.Reason.IsUnknown() && plan.Reason.ValueString() != string(a.requirement.Reason) {
		diags.AddError(summary, fmt.Sprintf(
			"The project has changed since the plan: access was planned as %s and is now %s. Nothing was changed.\n\n"+
				"Plan again. If this same run changes the project, reference that resource's attributes in visibility, "+
				"container_registry_access_level or auto_devops_enabled.",
			describeRequirement(plan.Required.ValueBool(), plan.Reason.ValueString()),
			describeRequirement(a.requirement.Required, string(a.requirement.Reason))))
		return false
	}
	return checkArguments(diags, summary, plan, a.requirement, s.project.Facts, s.project.Path)
}

// checkArguments refuses arguments that take a need away that GitLab plainly sees.
func checkArguments(diags *diag.Diagnostics, summary string, plan model, requirement access.Requirement, facts access.Facts, project string) bool {
	if said, contradicts := contradiction(plan, requirement, facts); contradicts {
		diags.AddError(summary, fmt.Sprintf(
			"The arguments say that no access is required (%s), but GitLab says that it is (%s). A flag that another tool could not read "+
				"often arrives here as false. Nothing was changed.\n\nCorrect visibility, container_registry_access_level or auto_devops_enabled, "+
				"or set mode to \"never\" if no access is wanted.", requirement.Reason, said.Reason))
		return false
	}
	if hiddenFromCaller(plan, requirement, facts) {
		warnHidden(diags, project)
	}
	return true
}

func describeRequirement(required bool, reason string) string {
	if required {
		return "required (" + reason + ")"
	}
	return "not required (" + reason + ")"
}

// configured reports whether the provider is configured; without it nothing can be applied.
func (r *Resource) configured(diags *diag.Diagnostics) bool {
	if r.backend == nil {
		diags.AddError("Cannot apply without a configured provider",
			"The configuration of the provider is still unknown. Make sure that base_url and token are known when the apply reaches this resource.")
	}
	return r.backend != nil
}

// writer sets state and identity together, as often as there is news.
type writer struct {
	ctx      context.Context
	state    *tfsdk.State
	identity *tfsdk.ResourceIdentity
	diags    *diag.Diagnostics
}

func (w writer) write(m model) {
	m.setRevision()
	w.diags.Append(w.state.Set(w.ctx, m)...)
	w.diags.Append(setIdentity(w.ctx, w.identity, m)...)
}
