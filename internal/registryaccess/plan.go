package registryaccess

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// ModifyPlan implements resource.ResourceWithModifyPlan. It writes single
// attributes, and none of them known if it depends on the clock or on chance.
func (r *Resource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan, config model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if req.State.Raw.IsNull() {
		r.planCreate(ctx, plan, config, req.Config.Raw.IsFullyKnown(), resp)
		return
	}
	var state model
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	r.planUpdate(withSecretMasked(ctx, state), plan, config, state, req, resp)
}

// planCreate reads the project, because no Read has, so that the plan says
// whether a token will be minted and why.
func (r *Resource) planCreate(ctx context.Context, plan, config model, known bool, resp *resource.ModifyPlanResponse) {
	if r.backend == nil || plan.Project.IsUnknown() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()

	found, err := r.find(ctx, plan.Project.ValueString())
	if err != nil {
		AddError(&resp.Diagnostics, fmt.Sprintf("Cannot plan the registry access of project %s", plan.Project.ValueString()), err)
		return
	}
	p := planned{ctx: ctx, plan: &resp.Plan}
	next := plan
	next.setProject(found.project, false)
	p.set("id", next.ID)
	p.set("project_id", next.ProjectID)
	p.set("project_path", next.ProjectPath)
	p.set("registry", next.Registry)
	p.set("image_prefix", next.ImagePrefix)
	if !statesFacts(config) {
		// Stated facts say that this run may change the project: what GitLab says
		// now is then not what it will say.
		p.set("facts", next.Facts)
	}
	if !known {
		resp.Diagnostics.Append(p.diags...)
		return
	}

	want, diags := wantedOf(ctx, plan)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	a := assessNew(want, found.project.Facts)
	if a.err != nil {
		addUndecidable(&resp.Diagnostics, plan.Project.ValueString(), a.err)
		return
	}
	tell(ctx, "plan of a creation", found.project.Path, a.assessment)
	next.setRequirement(a.requirement)
	p.set("required", next.Required)
	p.set("reason", next.Reason)
	p.set("explanation", next.Explanation)
	p.set("retired_tokens", retiredTokensValue(nil))
	p.set("ends_at", timeValue(a.record.EndsAt))
	p.set("last_change", types.StringValue(creationStory(a.assessment)))
	if a.decision.Mint {
		p.set("generation", types.Int64Value(1))
		if a.schedule.Permanent {
			p.setNull("expires_at", "rotate_at")
		}
	} else {
		p.set("generation", types.Int64Value(0))
		p.set("docker_config_json", types.StringValue(access.EmptyDockerConfig))
		p.setNull("token_id", "token", "created_at", "expires_at", "rotate_at")
	}
	resp.Diagnostics.Append(p.diags...)
	warnAtCreation(&resp.Diagnostics, plan, a.assessment, found, r.backend.Now())
}

// statesFacts reports whether the configuration states any fact, known or not.
func statesFacts(config model) bool {
	return !config.Visibility.IsNull() || !config.RegistryAccessLevel.IsNull() || !config.AutoDevOpsEnabled.IsNull()
}

// creationStory is last_change of an access that begins.
func creationStory(a assessment) string {
	if a.decision.Mint {
		return a.decision.LastChange
	}
	return "No token: " + a.requirement.Reason.Explanation()
}

// subject is a project with its tokens, as a creation or an import finds it.
type subject struct {
	project gitlab.Project
	tokens  []access.DeployToken
}

// find reads a project by id or path, and its tokens.
func (r *Resource) find(ctx context.Context, ref string) (subject, error) {
	project, err := r.backend.GitLab.Project(ctx, ref)
	if err != nil {
		return subject{}, err
	}
	tokens, err := r.backend.GitLab.DeployTokens(ctx, project.ID)
	return subject{project: project, tokens: tokens}, err
}

// newAssessment is the assessment of an access that has no state yet.
type newAssessment struct {
	assessment
	err error
}

func assessNew(want wanted, facts access.Facts) newAssessment {
	a := newAssessment{assessment: assessment{
		facts: facts, effective: want.overrides.Apply(facts), schedule: want.policy.Schedule, policy: want.policy,
	}}
	a.requirement, a.err = access.Require(want.mode, a.effective)
	a.decision = access.Decide(want.policy, a.requirement, a.record, a.verdicts)
	return a
}

// planUpdate decides from what Read stored. It calls GitLab only to find out
// whether another project string means another project.
func (r *Resource) planUpdate(ctx context.Context, plan, config, state model, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if !plan.Project.IsUnknown() {
		other, err := r.anotherProject(ctx, plan, state)
		if err != nil {
			AddError(&resp.Diagnostics, fmt.Sprintf("Cannot plan the registry access of project %s", plan.Project.ValueString()), err)
			return
		}
		if other {
			resp.RequiresReplace.Append(path.Root("project"))
			return
		}
	}

	p := planned{ctx: ctx, plan: &resp.Plan}
	defer func() { resp.Diagnostics.Append(p.diags...) }()
	p.keepProject(state)
	if !req.Config.Raw.IsFullyKnown() {
		// Also for an argument that decides nothing: a plan that is empty once it is
		// known may ask the clock, and one that is not may not.
		p.unknownOutcome(config, state)
		return
	}

	a, diags, err := assessExisting(ctx, plan, config, state, req.Private)
	resp.Diagnostics.Append(diags...)
	if err != nil {
		addUndecidable(&resp.Diagnostics, state.ProjectPath.ValueString(), err)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	next := plannedState(plan, config, state, a)
	quiet := req.Plan.Raw.Equal(req.State.Raw) && !a.decision.Changes() && next.sameOutcome(state)
	if quiet && r.windowOpened(a) {
		// No Read told of it (-refresh=false). In a plan that is empty otherwise the
		// clock may be asked: if it is not due yet, nothing is applied either.
		a.verdicts.Rotate = a.record.Current.ID
		a.decision = access.Decide(a.policy, a.requirement, a.record, a.verdicts)
		resp.Diagnostics.Append(writePrivate(ctx, req.Private, resp.Private, verdictsKey, a.verdicts)...)
		next = plannedState(plan, config, state, a)
		quiet = !a.decision.Changes()
	}
	tell(ctx, "plan", state.ProjectPath.ValueString(), a)
	p.setOutcome(config, next)
	warnAtUpdate(&resp.Diagnostics, plan, state, a, !quiet)
}

// windowOpened asks the clock whether the current token should be replaced.
func (r *Resource) windowOpened(a assessment) bool {
	current := a.record.Current
	return r.backend != nil && current != nil && a.verdicts.Rotate != current.ID &&
		!current.RotateAt.IsZero() && !r.backend.Now().Before(current.RotateAt)
}

// anotherProject reports whether a changed project argument names another project.
func (r *Resource) anotherProject(ctx context.Context, plan, state model) (bool, error) {
	ref := plan.Project.ValueString()
	if ref == state.Project.ValueString() || ref == state.ID.ValueString() || strings.EqualFold(ref, state.ProjectPath.ValueString()) {
		return false, nil
	}
	if r.backend == nil {
		return false, nil // Update finds out
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	project, err := r.backend.GitLab.Project(ctx, ref)
	return project.ID != state.ProjectID.ValueInt64(), err
}

// plannedState is the state after the decision, as far as it can be known
// beforehand: unknown is what depends on the clock or on GitLab's answer.
func plannedState(plan, config, state model, a assessment) model {
	next := state
	next.Name, next.Scopes = plan.Name, plan.Scopes
	if !a.decision.Hold || state.Required.IsNull() {
		next.setRequirement(a.requirement)
	}
	if !config.Username.IsNull() {
		next.Username = config.Username
	}
	if a.decision.LastChange != "" {
		next.LastChange = types.StringValue(a.decision.LastChange)
	}
	if a.decision.Mint {
		next.Generation = types.Int64Value(a.record.Generation + 1)
	}
	next.planTokens(a)
	return next
}

// planTokens writes what the decision makes of the tokens.
func (m *model) planTokens(a assessment) {
	d := a.decision
	null, unknown := timetypes.NewRFC3339Null(), timetypes.NewRFC3339Unknown()

	switch {
	case d.Mint:
		m.TokenID, m.Token, m.DockerConfigJSON = types.Int64Unknown(), types.StringUnknown(), types.StringUnknown()
		m.CreatedAt, m.ExpiresAt, m.RotateAt, m.EndsAt = unknown, unknown, unknown, null
		if a.schedule.Permanent {
			m.ExpiresAt, m.RotateAt = null, null
		}
	case d.Fate != access.FateStays:
		m.withdrawCredentials()
		m.TokenID = types.Int64Null()
		m.CreatedAt, m.ExpiresAt, m.RotateAt, m.EndsAt = null, null, null, null
	case a.record.Current != nil:
		m.RotateAt = timeValue(a.schedule.RotateAt(a.record.Current.CreatedAt, a.record.Current.ExpiresAt))
		if !d.Hold {
			m.DockerConfigJSON = types.StringValue(dockerConfigOf(*m))
		}
		switch d.WindDown {
		case access.WindDownStarts:
			m.EndsAt = unknown
		case access.WindDownCancelled:
			m.EndsAt = null
		case access.WindDownUnchanged:
		}
	}

	if d.Fate == access.FateRetired && a.record.Current != nil || len(d.Adopt) > 0 {
		m.RetiredTokens = types.ListUnknown(retiredTokenType)
		return
	}
	remaining := a.record
	for _, id := range d.Revoke {
		remaining = remaining.Without(id)
	}
	m.RetiredTokens = retiredTokensValue(remaining.Retired)
}

// sameOutcome reports whether nothing that this provider computes would change.
func (m model) sameOutcome(state model) bool {
	return m.Required.Equal(state.Required) && m.Reason.Equal(state.Reason) && m.Explanation.Equal(state.Explanation) &&
		m.DockerConfigJSON.Equal(state.DockerConfigJSON) && m.RotateAt.Equal(state.RotateAt) && m.Username.Equal(state.Username)
}

// planned writes single attributes of a plan.
type planned struct {
	ctx   context.Context
	plan  *tfsdk.Plan
	diags diag.Diagnostics
}

func (p *planned) set(name string, value attr.Value) {
	p.diags.Append(p.plan.SetAttribute(p.ctx, path.Root(name), value)...)
}

var nulls = map[string]attr.Value{
	"token_id": types.Int64Null(), "token": types.StringNull(), "created_at": timetypes.NewRFC3339Null(),
	"expires_at": timetypes.NewRFC3339Null(), "rotate_at": timetypes.NewRFC3339Null(),
}

func (p *planned) setNull(names ...string) {
	for _, name := range names {
		p.set(name, nulls[name])
	}
}

// keepProject keeps what only Read writes.
func (p *planned) keepProject(state model) {
	p.set("id", state.ID)
	p.set("project_id", state.ProjectID)
	p.set("project_path", state.ProjectPath)
	p.set("registry", state.Registry)
	p.set("image_prefix", state.ImagePrefix)
	p.set("facts", state.Facts)
	p.set("unmanaged_token_ids", state.UnmanagedTokenIDs)
}

// unknownOutcome leaves the decision to Update, where the arguments are known.
func (p *planned) unknownOutcome(config, state model) {
	var m model
	m.Required, m.Reason, m.Explanation = types.BoolUnknown(), types.StringUnknown(), types.StringUnknown()
	m.Generation, m.LastChange = types.Int64Unknown(), types.StringUnknown()
	m.TokenID, m.Token, m.DockerConfigJSON = types.Int64Unknown(), types.StringUnknown(), types.StringUnknown()
	later := timetypes.NewRFC3339Unknown()
	m.CreatedAt, m.ExpiresAt, m.RotateAt, m.EndsAt = later, later, later, later
	m.RetiredTokens = types.ListUnknown(retiredTokenType)
	m.Username = state.Username
	p.setOutcome(config, m)
}

// setOutcome writes everything that a decision can change.
func (p *planned) setOutcome(config, m model) {
	p.set("required", m.Required)
	p.set("reason", m.Reason)
	p.set("explanation", m.Explanation)
	p.set("generation", m.Generation)
	p.set("last_change", m.LastChange)
	p.set("token_id", m.TokenID)
	p.set("token", m.Token)
	p.set("docker_config_json", m.DockerConfigJSON)
	p.set("created_at", m.CreatedAt)
	p.set("expires_at", m.ExpiresAt)
	p.set("rotate_at", m.RotateAt)
	p.set("ends_at", m.EndsAt)
	p.set("retired_tokens", m.RetiredTokens)
	if config.Username.IsNull() {
		p.set("username", m.Username)
	}
}
