package registryaccess

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// Delete implements resource.Resource: it revokes every token that the state holds, the
// current one last, and nothing else.
func (r *Resource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	state, diags := resourceCodec().decode(ctx, req.State.Raw)
	resp.Diagnostics.Append(diags...)
	if !r.configured(&resp.Diagnostics) || resp.Diagnostics.HasError() {
		return
	}
	ctx = withSecretMasked(ctx, state)
	timeout, diags := state.Timeouts.Delete(ctx, operationTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	r.gitlab.Applying()
	record := state.record()
	n, diags := readNotes(ctx, req.Private)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	d := deletion{gitlab: r.gitlab, state: state, record: record, origin: n.origin, diags: &resp.Diagnostics}
	if d.run(ctx); resp.Diagnostics.HasError() {
		d.state.RetiredTokens = retiredTokensValue(d.record.Retired)
		raw, diags := resourceCodec().encode(ctx, d.state)
		resp.Diagnostics.Append(diags...)
		resp.State.Raw = raw
	}
}

// deletion is one Delete while it runs.
type deletion struct {
	gitlab *gitlab.Client
	state  model
	record access.Record
	origin origin
	diags  *diag.Diagnostics
}

func (d *deletion) run(ctx context.Context) {
	projectID := d.state.ProjectID.ValueInt64()
	list, err := d.gitlab.DeployTokens(ctx, projectID)
	if err != nil {
		d.fail(ctx, "Cannot list the deploy tokens of project "+d.state.ProjectPath.ValueString(), err, d.record.TokenIDs())
		return
	}
	if was := d.origin.GitLab; was != "" && was != d.gitlab.Root() && len(d.record.TokenIDs()) > 0 && !d.origin.marksAnyOf(list.Tokens) {
		d.diags.AddError("Cannot destroy the registry access of project "+d.state.ProjectPath.ValueString(),
			anotherGitLab(was, d.gitlab.Root(), d.state.ProjectPath.ValueString(), projectID, d.record.TokenIDs()))
		return
	}
	ids := d.record.TokenIDs()
	for _, t := range list.Tokens {
		if d.state.neverProven() && t.Username == d.state.Username.ValueString() && !d.record.Owns(t.ID) {
			ids = append(ids, t.ID)
		}
	}
	tokens := revoker{gitlab: d.gitlab, projectID: projectID, state: d.state, record: d.record, origin: d.origin, list: list}
	for i, id := range ids {
		if err := tokens.revoke(ctx, id); err != nil {
			// The current token, which is the last, stays alive while anything is left to do.
			d.fail(ctx, fmt.Sprintf("Cannot revoke deploy token %d of project %s", id, d.state.ProjectPath.ValueString()), err, ids[i:])
			return
		}
		if d.record.Current == nil || d.record.Current.ID != id {
			d.record = d.record.Without(id)
		}
	}
	warnLeftAlone(d.diags, d.state.ProjectPath.ValueString(), d.leftAlone(list.Tokens, ids))
}

// fail reports why the tokens that are left could not be revoked. A project that is gone
// has none; the destroy then succeeds with a warning, unless the GitLab is another one.
func (d *deletion) fail(ctx context.Context, summary string, err error, left []int64) {
	gone := gitlab.IsKind(err, gitlab.KindProjectNotFound) || gitlab.IsKind(err, gitlab.KindNotFound)
	if !gone || d.gitlab.KnowsToken(ctx) != nil {
		AddError(d.diags, summary, err)
		return
	}
	if was := d.origin.GitLab; was != "" && was != d.gitlab.Root() && len(left) > 0 {
		d.diags.AddError(summary, anotherGitLab(was, d.gitlab.Root(), d.state.ProjectPath.ValueString(), d.state.ProjectID.ValueInt64(), left))
		return
	}
	warnGone(d.diags, d.state, "The deploy tokens in the state could not be checked.", left)
}

// leftAlone lists tokens that carry the resource's own username and live on, because
// the state does not know them.
func (d *deletion) leftAlone(tokens []access.DeployToken, revoked []int64) []int64 {
	username := d.state.Username.ValueString()
	if !access.GeneratedUsername(username, d.state.ProjectID.ValueInt64()) {
		return nil
	}
	var left []int64
	for _, t := range tokens {
		if t.Username == username && t.Active(d.gitlab.Now()) && !slices.Contains(revoked, t.ID) {
			left = append(left, t.ID)
		}
	}
	return left
}
