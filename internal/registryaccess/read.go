package registryaccess

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// Read implements resource.Resource. It stores what GitLab says now and the
// verdicts of the clock; what to do about them is for the plan to say.
func (r *Resource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state model
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	// CLIs before 1.12 send no identity, and the framework wants one after every
	// Read, also one that removes the object.
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state)...)
	if r.backend == nil {
		return
	}
	ctx = withSecretMasked(ctx, state)
	timeout, diags := state.Timeouts.Read(ctx, operationTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	record, diags := state.record(ctx)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	projectID := state.ProjectID.ValueInt64()
	project, tokens, projectGone, err := r.look(ctx, projectID, state.ProjectPath.ValueString())
	warnPrefetch(&resp.Diagnostics, r.backend.GitLab.PrefetchFailures())
	if projectGone {
		warnProjectGone(&resp.Diagnostics, state, record)
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		AddError(&resp.Diagnostics, fmt.Sprintf("Cannot read the registry access of project %s", state.ProjectPath.ValueString()), err)
		return
	}
	seen, err := r.confirm(ctx, projectID, record, tokens)
	if err != nil {
		AddError(&resp.Diagnostics, fmt.Sprintf("Cannot read the registry access of project %s", state.ProjectPath.ValueString()), err)
		return
	}

	generated, chosen := state.Username.ValueString(), ""
	if state.Username.IsNull() {
		generated = usernameOf(ctx, req.Private)
	}
	if !access.GeneratedUsername(generated, projectID) {
		generated, chosen = "", generated
	}
	now := r.backend.Now()
	registryMissing := state.setProject(project, record.Current != nil)
	resp.Diagnostics.Append(state.setExpiry(ctx, &record, seen)...)
	unmanaged := access.Unmanaged(now, record, seen, state.Name.ValueString(), generated, chosen)
	state.UnmanagedTokenIDs = idsValue(access.IDs(unmanaged))

	verdicts := access.Observe(now, record, seen, generated)
	verdicts.RegistryMissing = registryMissing
	verdicts.Foreign = access.Foreign(unmanaged, projectID)
	resp.Diagnostics.Append(writePrivate(ctx, req.Private, resp.Private, verdictsKey, verdicts)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
}

// look asks for the project and its tokens side by side. The project counts as
// gone only if both answers say so: that is all the difference to a fault.
func (r *Resource) look(ctx context.Context, projectID int64, path string) (project gitlab.Project, tokens []access.DeployToken, gone bool, err error) {
	var projectErr, tokensErr error
	var side sync.WaitGroup
	side.Go(func() { tokens, tokensErr = r.backend.GitLab.DeployTokens(ctx, projectID) })
	project, projectErr = r.backend.GitLab.ProjectOnce(ctx, fmt.Sprint(projectID), path)
	side.Wait()

	switch {
	case gitlab.IsKind(projectErr, gitlab.KindProjectNotFound) && gitlab.IsKind(tokensErr, gitlab.KindProjectNotFound):
		// So says GitLab also to somebody whose token a proxy has stripped.
		err = r.backend.GitLab.CheckToken(ctx)
		return project, nil, err == nil, err
	case projectErr != nil:
		return project, nil, false, projectErr
	case tokensErr != nil:
		return project, nil, false, tokensErr
	case project.ID != projectID:
		return project, nil, false, fmt.Errorf("GitLab answered with project %d when asked for project %d", project.ID, projectID)
	}
	return project, tokens, false, nil
}

// confirm asks for the current token alone if it is not in the list: only
// GitLab's own word for a missing token makes it lost.
func (r *Resource) confirm(ctx context.Context, projectID int64, record access.Record, tokens []access.DeployToken) (access.Sighting, error) {
	seen := access.Sighting{Tokens: tokens}
	if record.Current == nil {
		return seen, nil
	}
	for _, t := range tokens {
		if t.ID == record.Current.ID {
			return seen, nil
		}
	}
	token, err := r.backend.GitLab.DeployToken(ctx, projectID, record.Current.ID)
	switch {
	case gitlab.IsKind(err, gitlab.KindTokenNotFound):
		seen.CurrentGone = true
	case err != nil:
		return seen, err
	default:
		seen.Tokens = append(seen.Tokens, token)
	}
	return seen, nil
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

// setExpiry takes the current token's expiry from GitLab's row, and the rotation
// window from the arguments of the last apply.
func (m *model) setExpiry(ctx context.Context, record *access.Record, seen access.Sighting) diag.Diagnostics {
	rotation, _, diags := m.rotation(ctx)
	schedule, err := access.NewSchedule(rotation, m.Permanent.ValueBool())
	if record.Current == nil || err != nil || diags.HasError() {
		return diags
	}
	for _, row := range seen.Tokens {
		if row.ID == record.Current.ID {
			record.Current.ExpiresAt = row.ExpiresAt
			record.Current.RotateAt = schedule.For(m.ProjectID.ValueInt64()).RotateAt(record.Current.CreatedAt, row.ExpiresAt)
			m.ExpiresAt, m.RotateAt = timeValue(record.Current.ExpiresAt), timeValue(record.Current.RotateAt)
		}
	}
	return diags
}

func warnProjectGone(diags *diag.Diagnostics, state model, record access.Record) {
	detail := fmt.Sprintf("GitLab answers 404 for project %s (id %d): it was deleted, or the provider's user has lost access to it; "+
		"GitLab does not tell which. The registry access leaves the state.",
		state.ProjectPath.ValueString(), state.ProjectID.ValueInt64())
	if ids := record.TokenIDs(); len(ids) > 0 {
		detail += fmt.Sprintf("\n\nIf the project still exists, these deploy tokens live on until they expire or are revoked in GitLab: %s.", listIDs(ids))
	}
	diags.AddWarning("Project is gone or hidden", detail)
}

func listIDs(ids []int64) string {
	parts := make([]string, 0, len(ids))
	for _, id := range ids {
		parts = append(parts, fmt.Sprint(id))
	}
	return strings.Join(parts, ", ")
}

func capitalize(sentence string) string {
	if sentence == "" {
		return sentence
	}
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}
