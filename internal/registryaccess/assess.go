package registryaccess

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	policy      access.Policy
	requirement access.Requirement
	record      access.Record
	observed    access.Observation
	decision    access.Decision
}

// assess decides about a resource: from the plan's arguments, the state and the private
// notes. A creation has the state of newState and no notes. Diagnostics call the project
// by the given name.
func assess(project string, plan, config, state model, n notes) (a assessment, diags diag.Diagnostics) {
	rotation, _ := plan.rotation()
	schedule, err := access.NewSchedule(rotation, plan.Permanent.ValueBool())
	if err != nil {
		diags.AddError("Invalid rotation", err.Error()+".")
	}
	facts := state.facts()
	record := state.recordWith(n)
	for _, scope := range n.observed.LeftScopes {
		// An interrupted apply has left them.
		if p := &record.Publication; scope != p.Scope && !slices.Contains(p.Stale, scope) {
			p.Stale = append(slices.Clone(p.Stale), scope)
		}
	}
	if diags.HasError() {
		return assessment{}, diags
	}
	if n.observed.RegistryMissing {
		facts.ImagePrefix = ""
	}

	a = assessment{
		facts: facts, effective: plan.overrides().Apply(facts), record: record, observed: n.observed,
		policy: access.Policy{
			Schedule: schedule.For(state.ProjectID.ValueInt64()),
			Keep:     plan.OnNotRequired.ValueString() == onNotRequiredKeep,
		},
	}
	a.policy.Scope = plan.publicationScope()
	a.policy.EndRetired = plan.endsAtOnce() && !state.endsAtOnce() && (a.policy.Scope != "" || record.Current != nil && record.Current.Published)
	if record.Current != nil {
		mintedWith := n.mintedWithOf(state, record.Current.ID)
		next := plan
		next.Username = nextUsername(config, state)
		a.policy.Changed = argumentsOf(next, record.Current.ID).differences(mintedWith)
		a.policy.Seal = sealChange(plan, state, mintedWith)
	}
	a.requirement, err = access.Require(access.Mode(plan.Mode.ValueString()), a.effective)
	if err != nil {
		AddUndecidable(&diags, project, err)
		return a, diags
	}
	a.decision = access.Decide(a.policy, a.requirement, record, n.observed)
	return a, diags
}

// again is the assessment with another observation.
func (a assessment) again(observed access.Observation) assessment {
	a.observed = observed
	a.decision = access.Decide(a.policy, a.requirement, a.record, observed)
	return a
}

// due lists the tokens that this apply revokes.
func (a assessment) due() []int64 { return a.decision.Due(a.record, a.policy.Schedule) }

// ownTokens lists every token of a resource: orphans first, the current one last.
func (a assessment) ownTokens() []int64 {
	var ids []int64
	for _, orphan := range a.observed.Orphans {
		ids = append(ids, orphan.TokenID)
	}
	return append(ids, a.record.TokenIDs()...)
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
	// RotateKeys recognises the values one by one, to name the key that changed.
	RotateKeys map[string]string `json:"rotate_keys,omitempty"`
	// ForVariables makes no other token; it tells how early the token rotates.
	ForVariables bool `json:"for_variables,omitempty"`
	// AgeRecipients and Registry are what sealed credentials were made for.
	AgeRecipients []string `json:"age_recipients,omitempty"`
	Registry      string   `json:"registry,omitempty"`
}

// mintedWithOf is what the token was minted with; the state's arguments if nothing is noted.
func (n notes) mintedWithOf(state model, tokenID int64) tokenArguments {
	if n.mintedWith.TokenID == tokenID {
		return n.mintedWith
	}
	return argumentsOf(state, tokenID)
}

func argumentsOf(m model, tokenID int64) tokenArguments {
	arguments := tokenArguments{
		TokenID: tokenID, Name: m.Name.ValueString(), Username: m.Username.ValueString(), ForVariables: !m.CIVariables.IsNull(),
		AgeRecipients: m.ageRecipients(), Registry: m.Registry.ValueString(),
	}
	for _, scope := range m.Scopes.Elements() {
		arguments.Scopes = append(arguments.Scopes, scope.String())
	}
	slices.Sort(arguments.Scopes)
	if elements := m.RotateWhenChanged.Elements(); len(elements) > 0 {
		digest := sha256.New()
		arguments.RotateKeys = map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(elements)) {
			line := fmt.Sprintf("%q=%s\n", key, elements[key])
			_, _ = digest.Write([]byte(line))
			one := sha256.Sum256([]byte(line))
			arguments.RotateKeys[key] = hex.EncodeToString(one[:])
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
		names = append(names, "rotate_when_changed"+t.changedKeys(other))
	}
	return names
}

// changedKeys names the keys of rotate_when_changed that differ, in parentheses; nothing if that
// was not noted.
func (t tokenArguments) changedKeys(other tokenArguments) string {
	if other.RotateWhenChanged != "" && len(other.RotateKeys) == 0 {
		return ""
	}
	var keys []string
	for key := range maps.Keys(t.RotateKeys) {
		if t.RotateKeys[key] != other.RotateKeys[key] {
			keys = append(keys, key)
		}
	}
	for key := range maps.Keys(other.RotateKeys) {
		if _, stays := t.RotateKeys[key]; !stays {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	const shown = 3
	if len(keys) > shown {
		keys = append(keys[:shown], "...")
	}
	return " (" + strings.Join(keys, ", ") + ")"
}

// contradiction reports whether arguments remove a requirement that GitLab's own facts make.
func contradiction(plan model, effective access.Requirement, facts access.Facts) (access.Requirement, bool) {
	if effective.Required || !plan.overrides().Any() {
		return access.Requirement{}, false
	}
	said, err := access.Require(access.Mode(plan.Mode.ValueString()), facts)
	return said, err == nil && said.Required
}

// hiddenFromCaller reports whether an argument decides that nothing is required,
// and GitLab hides whether that is so.
func hiddenFromCaller(plan model, effective access.Requirement, facts access.Facts) bool {
	if effective.Required || !plan.overrides().Any() {
		return false
	}
	_, err := access.Require(access.Mode(plan.Mode.ValueString()), facts)
	return err != nil
}

// logDecision logs a decision in one line, without a secret.
func logDecision(ctx context.Context, phase, project string, a assessment) {
	tflog.Debug(ctx, "registry access: "+phase, map[string]any{
		"project": project, "visibility": a.effective.Visibility, "registry_access_level": a.effective.RegistryAccessLevel,
		"auto_devops": describeFlag(a.effective.AutoDevOps), "required": a.requirement.Required, "reason": string(a.requirement.Reason),
		"action": string(a.decision.Action), "token_status": string(a.decision.Status), "revoke": a.due(), "why": a.decision.LastChange,
	})
}

func describeFlag(flag *bool) string {
	if flag == nil {
		return "hidden"
	}
	return fmt.Sprint(*flag)
}
