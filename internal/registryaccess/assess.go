package registryaccess

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
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

// ownTokens lists every token of an access: strays first, the current one last.
func ownTokens(record access.Record, verdicts access.Verdicts) []int64 {
	var ids []int64
	for _, stray := range verdicts.Strays {
		ids = append(ids, stray.TokenID)
	}
	return append(ids, record.TokenIDs()...)
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

// assessExisting decides about an access that is in state. The error is an
// *access.UndecidableError.
func assessExisting(ctx context.Context, plan, config, state model, private privateData) (assessment, diag.Diagnostics, error) {
	want, diags := wantedOf(ctx, plan)
	facts, more := state.facts(ctx)
	diags.Append(more...)
	record, more := state.record(ctx)
	diags.Append(more...)
	verdicts, mintedWith, more := readPrivate(ctx, private)
	diags.Append(more...)
	if diags.HasError() {
		return assessment{}, diags, nil
	}
	if verdicts.RegistryMissing {
		facts.ImagePrefix = ""
	}

	want.policy.Schedule = want.policy.Schedule.For(state.ProjectID.ValueInt64())
	a := assessment{facts: facts, schedule: want.policy.Schedule, policy: want.policy, record: record, verdicts: verdicts}
	a.effective = want.overrides.Apply(facts)
	if record.Current != nil {
		if mintedWith.TokenID != record.Current.ID {
			mintedWith = argumentsOf(state, record.Current.ID)
		}
		next := plan
		next.Username = nextUsername(config, state)
		a.policy.Changed = argumentsOf(next, record.Current.ID).differences(mintedWith)
	}
	requirement, err := access.Require(want.mode, a.effective)
	if err != nil {
		return a, diags, err
	}
	a.requirement = requirement
	a.decision = access.Decide(a.policy, requirement, record, verdicts)
	return a, diags, nil
}

// nextUsername is the configured username, else the state's; unknown if an import
// has left it open.
func nextUsername(config, state model) types.String {
	switch {
	case !config.Username.IsNull():
		return config.Username
	case state.Username.IsNull():
		return types.StringUnknown()
	}
	return state.Username
}

// tokenArguments are the arguments that make a token another one, as a token was
// minted with them. The values of rotate_when_changed are only recognised.
type tokenArguments struct {
	TokenID           int64    `json:"token_id"`
	Name              string   `json:"name"`
	Username          string   `json:"username"`
	Scopes            []string `json:"scopes"`
	RotateWhenChanged string   `json:"rotate_when_changed"`
}

func argumentsOf(m model, tokenID int64) tokenArguments {
	arguments := tokenArguments{TokenID: tokenID, Name: m.Name.ValueString(), Username: m.Username.ValueString()}
	for _, scope := range m.Scopes.Elements() {
		arguments.Scopes = append(arguments.Scopes, scope.String())
	}
	slices.Sort(arguments.Scopes)
	if elements := m.RotateWhenChanged.Elements(); len(elements) > 0 {
		digest := sha256.New()
		for _, key := range slices.Sorted(maps.Keys(elements)) {
			_, _ = fmt.Fprintf(digest, "%q=%s\n", key, elements[key])
		}
		arguments.RotateWhenChanged = hex.EncodeToString(digest.Sum(nil))
	}
	return arguments
}

// differences names the arguments in which the two differ.
func (t tokenArguments) differences(other tokenArguments) []string {
	var names []string
	if t.Name != other.Name {
		names = append(names, "name")
	}
	if t.Username != other.Username {
		names = append(names, "username")
	}
	if !slices.Equal(t.Scopes, other.Scopes) {
		names = append(names, "scopes")
	}
	if t.RotateWhenChanged != other.RotateWhenChanged {
		names = append(names, "rotate_when_changed")
	}
	return names
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
	// mintedWithKey holds the tokenArguments of the current token.
	mintedWithKey = "minted_with"
	// usernameKey holds the username that an import has chosen for the take-over.
	usernameKey = "username"
)

func readPrivate(ctx context.Context, private privateData) (verdicts access.Verdicts, mintedWith tokenArguments, diags diag.Diagnostics) {
	for key, target := range map[string]any{verdictsKey: &verdicts, mintedWithKey: &mintedWith} {
		raw, more := private.GetKey(ctx, key)
		diags.Append(more...)
		if len(raw) == 0 {
			continue
		}
		if err := json.Unmarshal(raw, target); err != nil {
			diags.AddError("Cannot read the private state", fmt.Sprintf("The key %q holds no valid data: %v.", key, err))
		}
	}
	return verdicts, mintedWith, diags
}

// usernameOf is the username that an import has chosen; empty if none has.
func usernameOf(ctx context.Context, private privateData) string {
	var username string
	if raw, _ := private.GetKey(ctx, usernameKey); len(raw) > 0 {
		_ = json.Unmarshal(raw, &username)
	}
	return username
}

// writePrivate writes a key only if its value changes: drift checks compare
// private state as well.
func writePrivate(ctx context.Context, old, private privateData, key string, value any) diag.Diagnostics {
	encoded, err := json.Marshal(value)
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("Cannot write the private state", err.Error())}
	}
	stored, diags := old.GetKey(ctx, key)
	if string(stored) == string(encoded) || len(stored) == 0 && string(encoded) == "{}" {
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
