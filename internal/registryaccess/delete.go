package registryaccess

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// Delete implements resource.Resource: it revokes every token that the access
// knows, the current one last.
func (r *Resource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state model
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if !r.configured(&resp.Diagnostics) || resp.Diagnostics.HasError() {
		return
	}
	ctx = withSecretMasked(ctx, state)
	timeout, diags := state.Timeouts.Delete(ctx, operationTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	r.backend.GitLab.Applying()
	record, diags := state.record(ctx)
	resp.Diagnostics.Append(diags...)
	verdicts, _, diags := readPrivate(ctx, req.Private)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ids := ownTokens(record, verdicts)
	for i, id := range ids {
		err := r.backend.GitLab.RevokeDeployToken(ctx, state.ProjectID.ValueInt64(), id)
		if gitlab.IsKind(err, gitlab.KindProjectNotFound) && r.backend.GitLab.CheckToken(ctx) == nil {
			resp.Diagnostics.AddWarning("Project is gone or hidden", fmt.Sprintf(
				"GitLab answers 404 for project %s (id %d): it was deleted, or the provider's user has lost access to it. "+
					"These deploy tokens could not be checked, and live on if the project does: %s.",
				state.ProjectPath.ValueString(), state.ProjectID.ValueInt64(), listIDs(ids[i:])))
			return
		}
		if err != nil {
			// The current token, which is the last, stays alive while anything is left to do.
			AddError(&resp.Diagnostics, fmt.Sprintf("Cannot revoke deploy token %d of project %s", id, state.ProjectPath.ValueString()), err)
			break
		}
		if record.Current == nil || record.Current.ID != id {
			record = record.Without(id)
			state.RetiredTokens = retiredTokensValue(record.Retired)
		}
	}
	if resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
		return
	}
	r.warnLeftBehind(ctx, state, &resp.Diagnostics)
}

// warnLeftBehind names tokens that carry the access's own username and live on: no
// refresh has seen them. They are not revoked, since nothing has announced that.
func (r *Resource) warnLeftBehind(ctx context.Context, state model, diags *diag.Diagnostics) {
	projectID, username := state.ProjectID.ValueInt64(), state.Username.ValueString()
	if !access.GeneratedUsername(username, projectID) {
		return
	}
	tokens, err := r.backend.GitLab.DeployTokens(ctx, projectID)
	if err != nil {
		return // what was known is revoked; that there is more is only a suspicion
	}
	var left []int64
	for _, t := range tokens {
		if t.Username == username && t.Active(r.backend.Now()) {
			left = append(left, t.ID)
		}
	}
	if len(left) > 0 {
		diags.AddWarning("Deploy tokens of an interrupted apply live on", fmt.Sprintf(
			"Project %s has deploy tokens with this resource's username that its state did not know: %s. They were left alone, because the plan of this destroy "+
				"did not show them. Revoke them in GitLab if no other state holds this resource.", state.ProjectPath.ValueString(), listIDs(left)))
	}
}
