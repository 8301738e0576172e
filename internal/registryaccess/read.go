package registryaccess

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// Read implements resource.Resource. It stores what GitLab says now and what is due by
// GitLab's clock; what to do about it is for the plan to say.
func (r *Resource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	state, diags := resourceCodec().decode(ctx, req.State.Raw)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	// CLIs before 1.12 send no identity, and the framework wants one after every
	// Read, also one that removes the object.
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state)...)
	if r.gitlab == nil {
		return
	}
	next, result := readState(ctx, r.gitlab, state, req.Private, resp.Private, &resp.Diagnostics)
	switch result {
	case readFailed:
	case readGone:
		resp.State.RemoveResource(ctx)
	case readDone:
		raw, diags := resourceCodec().encode(ctx, next)
		resp.Diagnostics.Append(diags...)
		resp.State.Raw = raw
	}
}

// readResult is what a refresh comes to.
type readResult int

const (
	readFailed readResult = iota
	// readGone: the resource is removed from the state.
	readGone
	readDone
)

// readState refreshes a state, and writes to the private state what it has observed.
func readState(ctx context.Context, client *gitlab.Client, state model, old, private privateData, diags *diag.Diagnostics) (model, readResult) {
	ctx = withSecretMasked(ctx, state)
	timeout, more := state.Timeouts.Read(ctx, operationTimeout)
	diags.Append(more...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	n, more := readNotes(ctx, old)
	diags.Append(more...)
	if diags.HasError() {
		return state, readFailed
	}
	record := state.recordWith(n)
	r := refresh{gitlab: client, state: state, record: record, notes: n, diags: diags}
	gone, err := r.run(ctx)
	warnPrefetch(diags, client.PrefetchFailures())
	if err != nil {
		AddError(diags, fmt.Sprintf("Cannot read the registry access of project %s", state.ProjectPath.ValueString()), err)
		return state, readFailed
	}
	if gone {
		warnGone(diags, state, "This resource is removed from the state.", record.TokenIDs())
		return state, readGone
	}
	diags.Append(writeObserved(ctx, old, private, r.observed)...)
	diags.Append(writeOrigin(ctx, old, private, client.Root(), r.marks, r.record)...)
	return r.state, readDone
}

// refresh is one Read while it runs.
type refresh struct {
	gitlab *gitlab.Client
	state  model
	record access.Record
	notes  notes
	diags  *diag.Diagnostics

	observed access.Observation
	marks    map[int64]mark
	// variables are read if the state publishes in them.
	variables    access.Variables
	variablesErr error
}

// run reads the project and its tokens. It reports whether the project is gone.
func (r *refresh) run(ctx context.Context) (gone bool, err error) {
	project, list, gone, err := r.readProjectAndTokens(ctx)
	if err != nil {
		return false, err
	}
	if !gone && r.variablesErr != nil && !outOfReach(r.variablesErr) {
		return false, r.variablesErr
	}
	if err = r.checkOrigin(project, list.Tokens, gone); err != nil || gone {
		return gone, err
	}
	if err = r.gitlab.CheckClock(); err != nil {
		return false, err
	}
	if err = r.checkUnreadable(list.Unreadable); err != nil {
		return false, err
	}
	seen, err := r.confirmCurrent(ctx, list.Tokens)
	if err != nil {
		return false, err
	}
	r.update(project, seen)
	if r.record.Current != nil {
		warnInvalid(r.diags, r.state.ProjectPath.ValueString(), *r.record.Current, r.observed)
	}
	r.updatePublication(ctx, seen.Tokens)
	r.warnPath(ctx)
	return false, nil
}

// update writes what GitLab says into the state.
func (r *refresh) update(project gitlab.Project, seen access.Sighting) {
	now, projectID := r.gitlab.Now(), project.ID
	generated, chosen := r.state.Username.ValueString(), ""
	if r.state.Username.IsNull() {
		generated = r.notes.username
	}
	if !access.GeneratedUsername(generated, projectID) {
		generated, chosen = "", generated
	}

	registryMissing := r.state.setProject(project, r.record.Current != nil)
	r.updateExpiry(seen)
	r.record = r.record.Seen(now, seen)
	observed := access.Observe(now, r.record, seen, generated)
	if r.state.neverProven() {
		// The object of a failed creation owns all tokens of its username. Its plan is
		// a replacement, which names what is in this list.
		for _, orphan := range observed.Orphans {
			r.record.Retired = append(r.record.Retired, access.RetiredToken{
				ID: orphan.TokenID, Username: orphan.Username, RetiredAt: now, RevokeAt: now, ExpiresAt: orphan.ExpiresAt, Status: access.StatusActive,
			})
		}
		observed = access.Observe(now, r.record, seen, generated)
	}
	r.state.RetiredTokens = retiredTokensValue(r.record.Retired)
	unmanaged := access.Unmanaged(now, r.record, seen, r.state.Name.ValueString(), generated, chosen)
	r.state.UnmanagedTokenIDs = IDsValue(access.IDs(unmanaged))
	observed.Unmanaged = access.IDs(access.WithoutGenerated(unmanaged, projectID))
	observed.RegistryMissing = registryMissing
	if r.state.publicationScope() == "" {
		// Only the plan that adds ci_variables needs it.
		observed.Injected = access.Injected(now, r.record, seen.Tokens)
	}
	r.observed = observed
	r.state.TokenStatus = types.StringNull()
	if r.record.Current != nil {
		r.state.TokenStatus = types.StringValue(string(observed.Status(*r.record.Current)))
	}
	r.marks = maps.Clone(r.notes.origin.Tokens)
	if r.marks == nil {
		r.marks = map[int64]mark{}
	}
	for _, t := range seen.Tokens {
		if r.record.Owns(t.ID) {
			r.marks[t.ID] = markOf(t)
		}
	}
}

// updateExpiry takes the current token's expiry from GitLab's row, and the rotation
// window from the arguments of the last apply.
func (r *refresh) updateExpiry(seen access.Sighting) {
	if r.record.Current == nil {
		return
	}
	row, found := seen.Find(r.record.Current.ID)
	rotation, _ := r.state.rotation()
	schedule, err := access.NewSchedule(rotation, r.state.Permanent.ValueBool())
	if !found || err != nil {
		return
	}
	r.record.Current.ExpiresAt = row.ExpiresAt
	r.record = r.record.Scheduled(schedule.For(r.state.ProjectID.ValueInt64()))
	r.state.ExpiresAt, r.state.RotateAt = TimeValue(row.ExpiresAt), TimeValue(r.record.Current.RotateAt)
}

// readProjectAndTokens asks for the project, its tokens and its variables side by side. The project is
// gone only if both requests get its 404; one 404 alone is an error.
func (r *refresh) readProjectAndTokens(ctx context.Context) (project gitlab.Project, list gitlab.TokenList, gone bool, err error) {
	projectID := r.state.ProjectID.ValueInt64()
	var projectErr, tokensErr error
	var side sync.WaitGroup
	side.Go(func() { list, tokensErr = r.gitlab.DeployTokens(ctx, projectID) })
	if r.mayBePublished() {
		side.Go(func() { r.variables, r.variablesErr = r.gitlab.Variables(ctx, projectID) })
	}
	project, projectErr = r.gitlab.ProjectOnce(ctx, fmt.Sprint(projectID), r.state.ProjectPath.ValueString())
	side.Wait()

	switch {
	case gitlab.IsKind(projectErr, gitlab.KindProjectNotFound) && gitlab.IsKind(tokensErr, gitlab.KindProjectNotFound):
		// So says GitLab also to somebody whose token a proxy has stripped.
		err = r.gitlab.KnowsToken(ctx)
		return project, list, err == nil, err
	case projectErr != nil:
		return project, list, false, projectErr
	}
	return project, list, false, tokensErr
}

// checkOrigin refuses a GitLab that is not the one that the state is about. One that only
// has another address still has the tokens.
func (r *refresh) checkOrigin(project gitlab.Project, tokens []access.DeployToken, gone bool) error {
	ids := r.record.TokenIDs()
	samePath := !gone && strings.EqualFold(project.Path, r.state.ProjectPath.ValueString())
	if !r.notes.origin.elsewhere(r.gitlab) || r.notes.origin.marksAnyOf(tokens) || samePath && (len(ids) == 0 || r.hasCurrent(tokens)) {
		return nil
	}
	return &gitlab.Error{
		Action: "recognise the GitLab of the state", Said: "it is another one",
		Advice: anotherGitLab(r.notes.origin, r.gitlab, r.state, ids),
	}
}

// hasCurrent reports whether the tokens include the current one, as it is known.
func (r *refresh) hasCurrent(tokens []access.DeployToken) bool {
	return r.record.Current != nil && slices.ContainsFunc(tokens, func(t access.DeployToken) bool {
		known, ok := r.notes.origin.Tokens[t.ID]
		return t.ID == r.record.Current.ID && ok && known == markOf(t)
	})
}

// checkUnreadable: a row that cannot be read is an error only if it may be ours.
func (r *refresh) checkUnreadable(rows []gitlab.UnreadableToken) error {
	for _, row := range rows {
		username := r.state.Username.ValueString()
		if r.record.Owns(row.ID) || row.Name == r.state.Name.ValueString() || username != "" && row.Username == username {
			return row.Err()
		}
	}
	warnUnreadable(r.diags, r.state.ProjectPath.ValueString(), rows)
	return nil
}

// confirmCurrent asks for the current token alone if it is not in the list: only
// GitLab's own word for a missing token makes it lost.
func (r *refresh) confirmCurrent(ctx context.Context, tokens []access.DeployToken) (access.Sighting, error) {
	seen := access.Sighting{Tokens: slices.DeleteFunc(slices.Clone(tokens), r.isAnother)}
	current := r.record.Current
	if current == nil {
		return seen, nil
	}
	if _, found := seen.Find(current.ID); found {
		return seen, nil
	}
	token, err := r.gitlab.DeployToken(ctx, r.state.ProjectID.ValueInt64(), current.ID)
	switch {
	case gitlab.IsKind(err, gitlab.KindTokenNotFound):
		seen.CurrentGone = true
	case err != nil:
		return seen, err
	case r.isAnother(token):
		seen.CurrentGone = true
	default:
		seen.Tokens = append(seen.Tokens, token)
	}
	return seen, nil
}

// isAnother reports whether a token has the id of one of the record and is another one: a
// deploy token never changes its name and username, and a restored GitLab can give an id
// again.
func (r *refresh) isAnother(t access.DeployToken) bool {
	known, marked := r.notes.origin.Tokens[t.ID]
	return marked && r.record.Owns(t.ID) && known != markOf(t)
}

// warnPath warns of a path in the configuration that leads to another project now. It
// never decides anything, so its failures are only logged.
func (r *refresh) warnPath(ctx context.Context) {
	path := r.state.Project.ValueString()
	if !strings.Contains(path, "/") || strings.EqualFold(path, r.state.ProjectPath.ValueString()) {
		return
	}
	owner, err := r.gitlab.OwnerOfPath(ctx, path)
	if err != nil {
		tflog.Debug(ctx, "registry access: cannot find out whose path it is now", map[string]any{"path": path, "error": err.Error()})
		return
	}
	if owner != r.state.ProjectID.ValueInt64() {
		warnPathTaken(r.diags, r.state, owner)
	}
}

// neverProven reports whether this is the object of a failed creation: access was
// required, and no token was ever proven. It owns every token of its generated username.
func (m model) neverProven() bool {
	return m.Required.ValueBool() && m.TokenID.IsNull() && m.Generation.ValueInt64() == 0 &&
		access.GeneratedUsername(m.Username.ValueString(), m.ProjectID.ValueInt64())
}
