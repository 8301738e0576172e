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
	n, diags := readNotes(ctx, req.Private)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	record := state.recordWith(n)
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
		d.listFailed(ctx, "Cannot list the deploy tokens of project "+d.state.ProjectPath.ValueString(), err)
		return
	}
	if d.origin.elsewhere(d.gitlab) && len(d.record.TokenIDs()) > 0 && !d.origin.marksAnyOf(list.Tokens) {
		d.diags.AddError("Cannot destroy the registry access of project "+d.state.ProjectPath.ValueString(),
			anotherGitLab(d.origin, d.gitlab, d.state, d.record.TokenIDs()))
		return
	}
	ids := d.record.TokenIDs()
	if d.state.neverProven() {
		ids = append(ids, d.withOwnUsername(list, ids)...)
	}
	if !d.removeVariables(ctx, ids) {
		return
	}
	tokens := revoker{gitlab: d.gitlab, projectID: projectID, state: d.state, record: d.record, origin: d.origin, list: list}
	var missing []int64
	for _, id := range ids {
		if err := tokens.revoke(ctx, id); err != nil {
			// The current token, which is the last, stays alive while anything is left to do.
			AddError(d.diags, fmt.Sprintf("Cannot revoke deploy token %d of project %s", id, d.state.ProjectPath.ValueString()), err)
			return
		}
		if !tokens.listed(id) {
			missing = append(missing, id)
		}
		if d.record.Current == nil || d.record.Current.ID != id {
			d.record = d.record.Without(id)
		}
	}
	warnOthers(d.diags, d.state, tokens.others)
	if d.origin.GitLab == "" {
		// Without private state, nothing says that this is the GitLab that has made them.
		warnMissing(d.diags, d.state, missing)
	}
	warnLeftAlone(d.diags, d.state.ProjectPath.ValueString(), d.withOwnUsername(list, ids))
}

// removeVariables removes the CI/CD variables that hold what this resource has published, before
// the tokens in them end. It reports whether the destroy can go on.
func (d *deletion) removeVariables(ctx context.Context, ids []int64) bool {
	known := d.state.publicationScope() != "" || len(d.record.Publication.Scopes()) > 0
	projectID, project := d.state.ProjectID.ValueInt64(), d.state.ProjectPath.ValueString()
	variables, err := d.gitlab.Variables(ctx, projectID)
	summary := "Cannot remove the CI/CD variables of project " + project
	switch {
	case err != nil && !known:
		return true // an interrupted apply may have published, which nothing else says
	case outOfReach(err):
		warnOutOfReach(d.diags, d.state, d.record)
		return true
	case err != nil:
		AddError(d.diags, summary, err)
		return false
	}
	// The object of a failed creation owns the tokens of its username, which no record names.
	record := d.record
	for _, id := range ids {
		if !record.Owns(id) {
			record.Retired = append(slices.Clone(record.Retired), access.RetiredToken{ID: id})
		}
	}
	scopes := variables.ScopesOf(record)
	for _, scope := range append(d.record.Publication.Scopes(), d.state.publicationScope()) {
		if scope != "" && !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	own, others := variables.PublishedIn(record, scopes)
	if _, err := d.gitlab.RemoveVariables(ctx, projectID, own); err != nil {
		AddError(d.diags, summary, err)
		return false
	}
	warnVariablesLeft(d.diags, d.state, others)
	return true
}

// listFailed reports why the tokens could not be listed. A project that is gone has none;
// the destroy then succeeds with a warning, unless the GitLab is another one.
func (d *deletion) listFailed(ctx context.Context, summary string, err error) {
	ids := d.record.TokenIDs()
	gone := gitlab.IsKind(err, gitlab.KindProjectNotFound) || gitlab.IsKind(err, gitlab.KindNotFound)
	if !gone || d.gitlab.KnowsToken(ctx) != nil {
		AddError(d.diags, summary, err)
		return
	}
	if d.origin.elsewhere(d.gitlab) && len(ids) > 0 {
		d.diags.AddError(summary, anotherGitLab(d.origin, d.gitlab, d.state, ids))
		return
	}
	warnGone(d.diags, d.state, "The deploy tokens in the state could not be checked.", ids)
}

// withOwnUsername lists the live tokens that carry the resource's own generated username,
// but for the known ones.
func (d *deletion) withOwnUsername(list gitlab.TokenList, known []int64) []int64 {
	username := d.state.Username.ValueString()
	if !access.GeneratedUsername(username, d.state.ProjectID.ValueInt64()) {
		return nil
	}
	var ids []int64
	for _, t := range list.Tokens {
		if t.Username == username && t.Active(d.gitlab.Now()) && !slices.Contains(known, t.ID) {
			ids = append(ids, t.ID)
		}
	}
	for _, row := range list.Unreadable {
		if row.Username == username && !slices.Contains(known, row.ID) {
			ids = append(ids, row.ID)
		}
	}
	return ids
}
