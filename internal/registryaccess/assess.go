package registryaccess

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// assessment is everything that plan and apply decide from. Both make it from the
// same input, so it comes out the same.
type assessment struct {
	facts       access.Facts // what GitLab said
	effective   access.Facts // with the arguments that state facts
	schedule    access.Schedule
	policy      access.Policy
	requirement access.Requirement
	record      access.Record
	verdicts    access.Verdicts
	decision    access.Decision
}

// wanted is what an assessment needs of a known configuration.
type wanted struct {
	mode      access.Mode
	overrides access.Overrides
	policy    access.Policy
}

// wantedOf reads a plan whose deciding arguments are known.
func wantedOf(ctx context.Context, plan model) (wanted, diag.Diagnostics) {
	rotation, _, diags := plan.rotation(ctx)
	schedule, err := access.NewSchedule(rotation, plan.Permanent.ValueBool())
	if err != nil {
		diags.AddError("Invalid rotation", err.Error()+".")
	}
	return wanted{
		mode:      access.Mode(plan.Mode.ValueString()),
		overrides: plan.overrides(),
		policy:    access.Policy{Schedule: schedule, Keep: plan.OnNotRequired.ValueString() == onNotRequiredKeep},
	}, diags
}

// undecided reports whether an argument that the decision depends on is unknown.
func undecided(plan, config model) bool {
	arguments := []attr.Value{
		plan.Mode, plan.Name, config.Username, plan.Scopes, plan.Visibility, plan.RegistryAccessLevel, plan.AutoDevOpsEnabled,
		plan.Permanent, plan.RotateWhenChanged, plan.OnNotRequired,
	}
	if slices.ContainsFunc(arguments, attr.Value.IsUnknown) {
		return true
	}
	for _, element := range slices.Concat(plan.Scopes.Elements(), mapValues(plan.RotateWhenChanged.Elements())) {
		if element.IsUnknown() {
			return true
		}
	}
	_, known, _ := plan.rotation(context.Background())
	return !known
}

func mapValues(m map[string]attr.Value) []attr.Value {
	values := make([]attr.Value, 0, len(m))
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

// assessExisting decides about an access that is in state. The error is an
// *access.UndecidableError.
func assessExisting(ctx context.Context, plan, config, state model, private privateData) (assessment, diag.Diagnostics, error) {
	want, diags := wantedOf(ctx, plan)
	facts, more := state.facts(ctx)
	diags.Append(more...)
	record, more := state.record(ctx)
	diags.Append(more...)
	verdicts, outdated, more := readPrivate(ctx, private)
	diags.Append(more...)
	if diags.HasError() {
		return assessment{}, diags, nil
	}
	if verdicts.RegistryMissing {
		facts.ImagePrefix = ""
	}

	a := assessment{facts: facts, schedule: want.policy.Schedule, policy: want.policy, record: record, verdicts: verdicts}
	a.effective = want.overrides.Apply(facts)
	a.policy.Changed = changedArguments(plan, config, state)
	if len(a.policy.Changed) == 0 && record.Current != nil && outdated == record.Current.ID {
		a.policy.Changed = []string{"the token's arguments"}
	}
	requirement, err := access.Require(want.mode, a.effective)
	if err != nil {
		return a, diags, err
	}
	a.requirement = requirement
	a.decision = access.Decide(a.policy, requirement, record, verdicts)
	return a, diags, nil
}

// changedArguments names the arguments that make a token another one.
func changedArguments(plan, config, state model) []string {
	var changed []string
	if !plan.Name.Equal(state.Name) {
		changed = append(changed, "name")
	}
	if !config.Username.IsNull() && !config.Username.Equal(state.Username) {
		changed = append(changed, "username")
	}
	if !plan.Scopes.Equal(state.Scopes) {
		changed = append(changed, "scopes")
	}
	if !plan.RotateWhenChanged.Equal(state.RotateWhenChanged) {
		changed = append(changed, "rotate_when_changed")
	}
	return changed
}

// dockerConfigOf renders a state's credentials for its registry, whose host may
// have changed. The username is the one in the credentials: the argument may
// already be another one.
func dockerConfigOf(state model) string {
	stored := state.DockerConfigJSON.ValueString()
	if state.Token.IsNull() || state.Registry.IsNull() {
		return stored
	}
	return access.DockerConfig(state.Registry.ValueString(), access.DockerConfigUsername(stored), access.Secret(state.Token.ValueString()))
}

// privateData is the private state of a request or a response.
type privateData interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

const (
	// verdictsKey holds access.Verdicts: what Read decided by the clock.
	verdictsKey = "verdicts"
	// outdatedKey holds the id of a token whose arguments changed while none was
	// required, so that it was not replaced.
	outdatedKey = "outdated_token_id"
)

func readPrivate(ctx context.Context, private privateData) (verdicts access.Verdicts, outdated int64, diags diag.Diagnostics) {
	for key, target := range map[string]any{verdictsKey: &verdicts, outdatedKey: &outdated} {
		raw, more := private.GetKey(ctx, key)
		diags.Append(more...)
		if len(raw) == 0 {
			continue
		}
		if err := json.Unmarshal(raw, target); err != nil {
			diags.AddError("Cannot read the private state", fmt.Sprintf("The key %q holds no valid data: %v.", key, err))
		}
	}
	return verdicts, outdated, diags
}

// writePrivate writes a key only if its value changes: drift checks compare
// private state as well.
func writePrivate(ctx context.Context, old, private privateData, key string, value any) diag.Diagnostics {
	encoded, err := json.Marshal(value)
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("Cannot write the private state", err.Error())}
	}
	stored, diags := old.GetKey(ctx, key)
	if string(stored) == string(encoded) {
		return diags
	}
	diags.Append(private.SetKey(ctx, key, encoded)...)
	return diags
}

// tell logs a decision in one line, without a secret.
func tell(ctx context.Context, phase, project string, a assessment) {
	tflog.Debug(ctx, "registry access: "+phase, map[string]any{
		"project": project, "visibility": a.effective.Visibility, "registry_access_level": a.effective.RegistryAccessLevel,
		"auto_devops": describeFlag(a.effective.AutoDevOps), "required": a.requirement.Required, "reason": string(a.requirement.Reason),
		"mint": a.decision.Mint, "current_token": string(a.decision.Fate), "wind_down": string(a.decision.WindDown),
		"revoke": a.decision.Revoke, "why": a.decision.LastChange,
	})
}

func describeFlag(flag *bool) string {
	if flag == nil {
		return "hidden"
	}
	return fmt.Sprint(*flag)
}
