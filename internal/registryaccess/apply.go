package registryaccess

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

// Create implements resource.Resource. A creation is an update of newState.
func (r *Resource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	plan, diags := resourceCodec().decode(ctx, req.Plan.Raw)
	resp.Diagnostics.Append(diags...)
	config, diags := resourceCodec().decode(ctx, req.Config.Raw)
	resp.Diagnostics.Append(diags...)
	if !r.configured(&resp.Diagnostics) || resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, operationTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	r.gitlab.Applying()
	summary := fmt.Sprintf("Cannot create the registry access of project %s", plan.Project.ValueString())
	found, err := find(ctx, r.gitlab, plan.Project.ValueString())
	if err != nil {
		AddError(&resp.Diagnostics, summary, err)
		return
	}
	state := newState(found.project)
	// Tokens of this provider are left out: this same plan may be about to end them.
	unmanaged := access.WithoutGenerated(access.Unmanaged(
		r.gitlab.Now(), access.Record{}, access.Sighting{Tokens: found.list.Tokens}, plan.Name.ValueString(), "", ""), found.project.ID)
	state.UnmanagedTokenIDs = IDsValue(access.IDs(unmanaged))
	freshUsername := config.Username.IsNull()
	if freshUsername {
		state.Username = types.StringValue(access.NewUsername(found.project.ID))
	}
	a, diags := assess(plan.Project.ValueString(), plan, config, state, notes{})
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	u := apply{
		writer: writer{ctx: ctx, state: &resp.State, identity: resp.Identity, diags: &resp.Diagnostics},
		gitlab: r.gitlab, plan: plan, config: config, prior: state, private: resp.Private, summary: summary,
		creates: true, freshUsername: freshUsername,
	}
	logDecision(ctx, "creation", found.project.Path, a)
	if u.stillRequired(a) && u.checkArguments(a.requirement, a.facts, found.project.Path) {
		u.carryOut(a)
	}
}

// Update implements resource.Resource. It carries out the decision that the plan
// showed: mint and prove first, then the new state, then revocations.
func (r *Resource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	plan, diags := resourceCodec().decode(ctx, req.Plan.Raw)
	resp.Diagnostics.Append(diags...)
	config, diags := resourceCodec().decode(ctx, req.Config.Raw)
	resp.Diagnostics.Append(diags...)
	state, diags := resourceCodec().decode(ctx, req.State.Raw)
	resp.Diagnostics.Append(diags...)
	if !r.configured(&resp.Diagnostics) || resp.Diagnostics.HasError() {
		return
	}
	ctx = withSecretMasked(ctx, state)
	timeout, diags := plan.Timeouts.Update(ctx, operationTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	r.gitlab.Applying()
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state)...)
	n, diags := readNotes(ctx, req.Private)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if state.Username.IsNull() && config.Username.IsNull() {
		// An import has chosen it, so that it is known although an apply dies. A state
		// that was carried elsewhere by hand may have lost it.
		state.Username = stringValue(n.username)
		if n.username == "" {
			state.Username = types.StringValue(access.NewUsername(state.ProjectID.ValueInt64()))
		}
	}
	u := apply{
		writer: writer{ctx: ctx, state: &resp.State, identity: resp.Identity, diags: &resp.Diagnostics},
		gitlab: r.gitlab, plan: plan, config: config, prior: state, private: resp.Private, notes: n,
		summary: fmt.Sprintf("Cannot update the registry access of project %s", state.ProjectPath.ValueString()),
	}
	a, diags := assess(state.ProjectPath.ValueString(), plan, config, state, n)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !u.asPlanned(a) || !u.sameGitLab(a) || !u.stillTrue(a) {
		return
	}
	logDecision(ctx, "update", state.ProjectPath.ValueString(), a)
	u.carryOut(a)
}

// apply is one Create or Update while it runs.
type apply struct {
	writer

	gitlab  *gitlab.Client
	plan    model
	config  model
	prior   model
	private privateData
	notes   notes
	summary string
	creates bool
	// freshUsername: this call has generated the username, so nobody else mints with it.
	freshUsername bool
	// requirement is what carryOut carries out.
	requirement access.Requirement
	// listed is GitLab's list of the project's tokens in this call; nil before it is needed.
	listed *gitlab.TokenList
	// variables are the CI/CD variables of the project in this call, if they are needed.
	variables access.Variables
	// withdrawnAt is when this call has removed the variables; zero if it has not.
	withdrawnAt time.Time
	// variablesOff: GitLab refuses access to them.
	variablesOff bool
	// uncertain: the new credentials may be published or not, so nothing is revoked.
	uncertain bool
	// recipients and sealed are empty unless the plan seals.
	recipients seal.Recipients
	sealed     sealed
}

// asPlanned guards against carrying out anything that no plan has shown.
func (u *apply) asPlanned(a assessment) bool {
	generation := a.record.Generation
	if a.decision.Action.Effect().Mints {
		generation++
	}
	revokes := true
	if !u.plan.RetiredTokens.IsUnknown() {
		revokes = len(u.plan.RetiredTokens.Elements()) == len(a.record.Retired)-len(a.decision.Revoke)
	}
	if !revokes || !u.plan.Generation.IsUnknown() && u.plan.Generation.ValueInt64() != generation {
		u.diags.AddError(u.summary, "The decision has changed since the plan. Nothing was changed. Plan again.")
		return false
	}
	return true
}

// sameGitLab guards against an apply without a refresh after base_url has changed.
func (u *apply) sameGitLab(a assessment) bool {
	if !u.notes.origin.elsewhere(u.gitlab) {
		return true
	}
	list, err := u.list()
	if err != nil {
		AddError(u.diags, u.summary, err)
		return false
	}
	if !u.notes.origin.marksAnyOf(list.Tokens) && len(a.record.TokenIDs()) > 0 {
		u.diags.AddError(u.summary, anotherGitLab(u.notes.origin, u.gitlab, u.prior, a.record.TokenIDs()))
		return false
	}
	return true
}

// stillRequired compares what the plan of a creation promised with what GitLab says now.
func (u *apply) stillRequired(a assessment) bool {
	same := (u.plan.Required.IsUnknown() || u.plan.Required.ValueBool() == a.requirement.Required) &&
		(u.plan.Reason.IsUnknown() || u.plan.Reason.ValueString() == string(a.requirement.Reason))
	if same && u.projectAsPlanned() {
		return true
	}
	u.diags.AddError(u.summary, fmt.Sprintf(
		"The project has changed since the plan: access was planned as %s and is now %s. Nothing was changed.\n\n"+
			"Plan again. If this same run changes the project, reference that resource's attributes in visibility, "+
			"container_registry_access_level or auto_devops_enabled.",
		describeRequirement(u.plan.Required.ValueBool(), u.plan.Reason.ValueString()),
		describeRequirement(a.requirement.Required, string(a.requirement.Reason))))
	return false
}

// projectAsPlanned reports whether GitLab says of the project what the plan of a creation
// has shown: what a plan knew must come true, and it is better to fail before minting.
func (u *apply) projectAsPlanned() bool {
	for _, value := range [][2]attr.Value{
		{u.plan.ID, u.prior.ID}, {u.plan.ProjectID, u.prior.ProjectID}, {u.plan.ProjectPath, u.prior.ProjectPath},
		{u.plan.Registry, u.prior.Registry}, {u.plan.ImagePrefix, u.prior.ImagePrefix}, {u.plan.Facts, u.prior.Facts},
	} {
		if planned, now := value[0], value[1]; !planned.IsUnknown() && !planned.Equal(now) {
			return false
		}
	}
	return true
}

// stillTrue asks GitLab once more before anything that takes access away, and
// when an argument may have become another project.
func (u *apply) stillTrue(a assessment) bool {
	same := sameProject(u.plan, u.prior)
	action := a.decision.Action
	takesAway := action == access.ActionWithdraw || action == access.ActionEnd
	statesFacts := !a.requirement.Required && u.plan.overrides().Any() && action != access.ActionRevoke
	if same && !takesAway && !statesFacts {
		return true
	}

	ref := u.plan.Project.ValueString()
	if same {
		ref = u.prior.ID.ValueString()
	}
	project, err := u.gitlab.Project(u.ctx, ref)
	if err != nil {
		AddError(u.diags, u.summary, err)
		return false
	}
	if project.ID != u.prior.ProjectID.ValueInt64() {
		u.diags.AddError(u.summary, fmt.Sprintf(
			"%s turned out to be another project (id %d, not %d). Nothing was changed. Plan again: this resource will then be replaced.\n\n"+
				"If the same run replaces the project, add replace_triggered_by = [<the project's resource>.id] to this resource's lifecycle block.",
			ref, project.ID, u.prior.ProjectID.ValueInt64()))
		return false
	}
	if takesAway && !u.mayTakeAway(a, project) {
		return false
	}
	return !statesFacts || u.checkArguments(a.requirement, project.Facts, u.prior.ProjectPath.ValueString())
}

func (u *apply) mayTakeAway(a assessment, project gitlab.Project) bool {
	now, err := access.Require(access.Mode(u.plan.Mode.ValueString()), u.plan.overrides().Apply(project.Facts))
	if err != nil {
		AddUndecidable(u.diags, u.prior.ProjectPath.ValueString(), err)
		return false
	}
	if now.Required || now.RegistryMissing || a.requirement.AnonymousPull && !now.AnonymousPull {
		u.diags.AddError(u.summary, fmt.Sprintf(
			"The project has changed since the plan: access was %s and is now %s. Nothing was changed. Plan again.",
			describeRequirement(a.requirement.Required, string(a.requirement.Reason)), describeRequirement(now.Required, string(now.Reason))))
		return false
	}
	return true
}

// checkArguments refuses arguments that take a need away that GitLab plainly sees.
func (u *apply) checkArguments(requirement access.Requirement, facts access.Facts, project string) bool {
	if said, contradicts := contradiction(u.plan, requirement, facts); contradicts {
		u.diags.AddError(u.summary, fmt.Sprintf(
			"The arguments say that no access is required (%s), but GitLab says that it is (%s). A flag that another tool could not read "+
				"often arrives here as false. Nothing was changed.\n\nCorrect visibility, container_registry_access_level or auto_devops_enabled, "+
				"or set mode to \"never\" if no access is wanted.", requirement.Reason, said.Reason))
		return false
	}
	if hiddenFromCaller(u.plan, requirement, facts) {
		warnHidden(u.diags, project)
	}
	return true
}

// carryOut does what was decided.
func (u *apply) carryOut(a assessment) {
	u.requirement = a.requirement
	if !u.knowsTime(a) {
		return
	}
	if err := u.prepareSeals(a); err != nil {
		u.diags.AddError(u.summary, Capitalize(err.Error())+". Nothing was changed.")
		return
	}
	if !u.prepareVariables(a) {
		return
	}
	did := done{at: u.gitlab.Now()}
	known := maps.Clone(u.notes.origin.Tokens)
	if a.decision.Action.Effect().Mints {
		minted, err := u.mint(a)
		if err != nil {
			u.keepLeftovers(err)
			return
		}
		did = done{at: minted.CreatedAt, minted: &minted}
		if !u.creates {
			// What appeared while minting is tracked like any orphan. A creation has
			// promised an empty list; the next plan finds what carries its username.
			did.orphans = minted.Orphans
		}
		u.listed = &minted.Listed
		if known == nil {
			known = map[int64]mark{}
		}
		known[minted.ID] = markOf(minted.DeployToken)
	}

	did.sealed = u.sealed
	next := a.outcome(u.plan, u.config, u.prior, &did)
	u.write(next)
	record := next.record()
	if !u.publish(a, &next, record, did.minted) {
		return
	}
	u.diags.Append(writeOrigin(u.ctx, u.private, u.private, u.gitlab.Root(), known, record)...)
	if did.minted != nil {
		// A token that stays keeps its note, so that changed arguments replace it when it
		// is required again.
		u.diags.Append(writePrivate(u.ctx, u.private, u.private, mintedWithKey, argumentsOf(next, did.minted.ID))...)
	} else if record.Current != nil {
		u.diags.Append(writePrivate(u.ctx, u.private, u.private, mintedWithKey, u.notes.mintedWithOf(u.prior, record.Current.ID))...)
	}
	if u.uncertain || u.variablesOff && a.decision.Action != access.ActionEnd {
		return // what is due stays due: the variables may hold it
	}
	u.revoke(a, next, record)
}

// knowsTime makes sure that GitLab has told its time to this call before an end date or
// an overlap counts from it. A minting asks by itself.
func (u *apply) knowsTime(a assessment) bool {
	effect := a.decision.Action.Effect()
	if effect.Mints || effect.EndDate != access.EndDateSet && effect.Current != access.CurrentRetires && len(a.decision.Retire) == 0 {
		return true
	}
	var err error
	if !u.gitlab.HasTime() {
		_, err = u.list()
	}
	if err == nil {
		err = u.gitlab.CheckClock()
	}
	if err != nil {
		AddError(u.diags, u.summary, err)
	}
	return err == nil
}

// list is GitLab's list of the project's tokens, read once in a call.
func (u *apply) list() (gitlab.TokenList, error) {
	if u.listed == nil {
		list, err := u.gitlab.DeployTokens(u.ctx, u.prior.ProjectID.ValueInt64())
		if err != nil {
			return gitlab.TokenList{}, err
		}
		u.listed = &list
	}
	return *u.listed, nil
}

// revoke deletes the tokens that are due. Each one that is gone leaves the state at once.
// After the first failure nothing more is revoked: what is left stays in the state, due
// again. That is an error only where no Secret waits for this apply.
func (u *apply) revoke(a assessment, next model, record access.Record) {
	due := a.due()
	if len(due) == 0 {
		return
	}
	list, err := u.list()
	tokens := revoker{gitlab: u.gitlab, projectID: u.prior.ProjectID.ValueInt64(), state: u.prior, record: a.record, origin: u.notes.origin, list: list}
	left := due
	for err == nil && len(left) > 0 {
		if err = tokens.revoke(u.ctx, left[0]); err == nil {
			record = record.Without(left[0])
			if record.Current == nil && a.decision.Action == access.ActionEnd {
				next.publish(nothing, u.sealed.nothing)
				next.TokenStatus = types.StringNull()
			}
			next.setRecord(record)
			u.write(next)
			left = left[1:]
		}
	}
	warnOthers(u.diags, u.prior, tokens.others)
	switch {
	case err == nil:
	case a.revocationsMustSucceed(next, u.prior):
		if a.decision.Action == access.ActionEnd {
			next.LastChange, next.LastAction = u.prior.LastChange, u.prior.LastAction
			u.write(next)
		}
		AddError(u.diags, fmt.Sprintf("Cannot revoke deploy token %d of project %s", left[0], u.prior.ProjectPath.ValueString()), err)
	default:
		warnNotRevoked(u.diags, u.prior.ProjectPath.ValueString(), left, err)
	}
}

// configured reports whether the provider is configured; without it nothing can be applied.
func (r *Resource) configured(diags *diag.Diagnostics) bool {
	if r.gitlab == nil {
		diags.AddError("Cannot apply without a configured provider",
			"The configuration of the provider is still unknown. Make sure that base_url and token are known when the apply reaches this resource.")
	}
	return r.gitlab != nil
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
	raw, diags := resourceCodec().encode(w.ctx, m)
	w.diags.Append(diags...)
	w.state.Raw = raw
	w.diags.Append(setIdentity(w.ctx, w.identity, m)...)
}

func idsOf(list types.List) []int64 {
	var ids []int64
	for _, element := range list.Elements() {
		if id, ok := element.(types.Int64); ok {
			ids = append(ids, id.ValueInt64())
		}
	}
	return ids
}

func mergeIDs(list types.List, more []int64) []int64 {
	ids := append(idsOf(list), more...)
	slices.Sort(ids)
	return slices.Compact(ids)
}
