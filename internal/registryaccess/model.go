package registryaccess

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// model is the resource as the schema has it. Config, plan and state share it, so
// every value may be null, and those of config and plan unknown.
type model struct {
	Project             types.String   `tfsdk:"project"`
	Mode                types.String   `tfsdk:"mode"`
	Name                types.String   `tfsdk:"name"`
	Username            types.String   `tfsdk:"username"`
	Scopes              types.Set      `tfsdk:"scopes"`
	Visibility          types.String   `tfsdk:"visibility"`
	RegistryAccessLevel types.String   `tfsdk:"container_registry_access_level"`
	AutoDevOpsEnabled   types.Bool     `tfsdk:"auto_devops_enabled"`
	Rotation            types.Object   `tfsdk:"rotation"`
	Permanent           types.Bool     `tfsdk:"permanent"`
	RotateWhenChanged   types.Map      `tfsdk:"rotate_when_changed"`
	OnNotRequired       types.String   `tfsdk:"on_not_required"`
	Verify              types.Bool     `tfsdk:"verify"`
	Timeouts            timeouts.Value `tfsdk:"timeouts"`

	ID                types.String      `tfsdk:"id"`
	ProjectID         types.Int64       `tfsdk:"project_id"`
	ProjectPath       types.String      `tfsdk:"project_path"`
	Registry          types.String      `tfsdk:"registry"`
	ImagePrefix       types.String      `tfsdk:"image_prefix"`
	Facts             types.Object      `tfsdk:"facts"`
	Required          types.Bool        `tfsdk:"required"`
	Reason            types.String      `tfsdk:"reason"`
	Explanation       types.String      `tfsdk:"explanation"`
	TokenID           types.Int64       `tfsdk:"token_id"`
	Token             types.String      `tfsdk:"token"`
	DockerConfigJSON  types.String      `tfsdk:"docker_config_json"`
	Revision          types.Int64       `tfsdk:"docker_config_revision"`
	CreatedAt         timetypes.RFC3339 `tfsdk:"created_at"`
	ExpiresAt         timetypes.RFC3339 `tfsdk:"expires_at"`
	RotateAt          timetypes.RFC3339 `tfsdk:"rotate_at"`
	EndsAt            timetypes.RFC3339 `tfsdk:"ends_at"`
	Generation        types.Int64       `tfsdk:"generation"`
	LastChange        types.String      `tfsdk:"last_change"`
	LastAction        types.String      `tfsdk:"last_action"`
	TokenStatus       types.String      `tfsdk:"token_status"`
	RetiredTokens     types.List        `tfsdk:"retired_tokens"`
	UnmanagedTokenIDs types.List        `tfsdk:"unmanaged_token_ids"`
}

// rotationModel is the rotation argument.
type rotationModel struct {
	ExpirationDays   types.Number `tfsdk:"expiration_days"`
	RotateBeforeDays types.Number `tfsdk:"rotate_before_days"`
	OverlapDays      types.Number `tfsdk:"overlap_days"`
	SpreadDays       types.Number `tfsdk:"spread_days"`
}

var rotationType = map[string]attr.Type{
	"expiration_days":    types.NumberType,
	"rotate_before_days": types.NumberType,
	"spread_days":        types.NumberType,
	"overlap_days":       types.NumberType,
}

// factsModel is the facts attribute, which the data source shares.
type factsModel struct {
	Visibility          types.String `tfsdk:"visibility"`
	RegistryAccessLevel types.String `tfsdk:"container_registry_access_level"`
	AutoDevOpsEnabled   types.Bool   `tfsdk:"auto_devops_enabled"`
	Archived            types.Bool   `tfsdk:"archived"`
	DeletionScheduled   types.Bool   `tfsdk:"deletion_scheduled"`
}

var factsType = map[string]attr.Type{
	"visibility":                      types.StringType,
	"container_registry_access_level": types.StringType,
	"auto_devops_enabled":             types.BoolType,
	"archived":                        types.BoolType,
	"deletion_scheduled":              types.BoolType,
}

// retiredTokenModel is one element of retired_tokens.
type retiredTokenModel struct {
	TokenID   types.Int64       `tfsdk:"token_id"`
	Username  types.String      `tfsdk:"username"`
	RetiredAt timetypes.RFC3339 `tfsdk:"retired_at"`
	RevokeAt  timetypes.RFC3339 `tfsdk:"revoke_at"`
	ExpiresAt timetypes.RFC3339 `tfsdk:"expires_at"`
	Status    types.String      `tfsdk:"status"`
}

var retiredTokenType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"token_id":   types.Int64Type,
	"username":   types.StringType,
	"retired_at": timetypes.RFC3339Type{},
	"revoke_at":  timetypes.RFC3339Type{},
	"expires_at": timetypes.RFC3339Type{},
	"status":     types.StringType,
}}

// timeValue stores whole seconds in UTC; null for the zero time.
func timeValue(t time.Time) timetypes.RFC3339 {
	if t.IsZero() {
		return timetypes.NewRFC3339Null()
	}
	return timetypes.NewRFC3339TimeValue(t.UTC().Truncate(time.Second))
}

// timeOf is the zero time for null, unknown and unreadable values.
func timeOf(v timetypes.RFC3339) time.Time {
	if v.IsNull() || v.IsUnknown() {
		return time.Time{}
	}
	t, _ := v.ValueRFC3339Time()
	return t.UTC()
}

// stringValue is null for the empty string.
func stringValue(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

func factsValue(facts access.Facts) types.Object {
	return types.ObjectValueMust(factsType, map[string]attr.Value{
		"visibility":                      stringValue(facts.Visibility),
		"container_registry_access_level": stringValue(facts.RegistryAccessLevel),
		"auto_devops_enabled":             types.BoolPointerValue(facts.AutoDevOps),
		"archived":                        types.BoolValue(facts.Archived),
		"deletion_scheduled":              types.BoolValue(facts.DeletionScheduled),
	})
}

// facts are what Read, or the creation, stored of GitLab's answer.
func (m model) facts(ctx context.Context) (access.Facts, diag.Diagnostics) {
	facts := access.Facts{ImagePrefix: m.ImagePrefix.ValueString()}
	if m.Facts.IsNull() || m.Facts.IsUnknown() {
		return facts, nil
	}
	var stored factsModel
	diags := m.Facts.As(ctx, &stored, basetypes.ObjectAsOptions{})
	facts.Visibility = stored.Visibility.ValueString()
	facts.RegistryAccessLevel = stored.RegistryAccessLevel.ValueString()
	facts.AutoDevOps = stored.AutoDevOpsEnabled.ValueBoolPointer()
	facts.Archived = stored.Archived.ValueBool()
	facts.DeletionScheduled = stored.DeletionScheduled.ValueBool()
	return facts, diags
}

func (m model) overrides() access.Overrides {
	return access.Overrides{
		Visibility:          m.Visibility.ValueStringPointer(),
		RegistryAccessLevel: m.RegistryAccessLevel.ValueStringPointer(),
		AutoDevOps:          m.AutoDevOpsEnabled.ValueBoolPointer(),
	}
}

// daysOf is a number that WholeNumber has let through; nil for null. What the
// validator refuses becomes the nearest integer of 64 bits.
func daysOf(number types.Number) *int64 {
	if number.IsNull() {
		return nil
	}
	days, _ := number.ValueBigFloat().Int64()
	return &days
}

// rotation returns the rotation argument; false if part of it is unknown.
func (m model) rotation(ctx context.Context) (access.Rotation, bool, diag.Diagnostics) {
	if m.Rotation.IsUnknown() || m.Permanent.IsUnknown() {
		return access.Rotation{}, false, nil
	}
	if m.Rotation.IsNull() {
		return access.Rotation{}, true, nil
	}
	var r rotationModel
	diags := m.Rotation.As(ctx, &r, basetypes.ObjectAsOptions{})
	if r.ExpirationDays.IsUnknown() || r.RotateBeforeDays.IsUnknown() || r.OverlapDays.IsUnknown() || r.SpreadDays.IsUnknown() {
		return access.Rotation{}, false, diags
	}
	return access.Rotation{
		ExpirationDays:   daysOf(r.ExpirationDays),
		RotateBeforeDays: daysOf(r.RotateBeforeDays),
		OverlapDays:      daysOf(r.OverlapDays),
		SpreadDays:       daysOf(r.SpreadDays),
	}, true, diags
}

func (m model) scopes(ctx context.Context) ([]string, diag.Diagnostics) {
	var scopes []string
	diags := m.Scopes.ElementsAs(ctx, &scopes, false)
	slices.Sort(scopes)
	return scopes, diags
}

// record is what a state knows of its tokens.
func (m model) record(ctx context.Context) (access.Record, diag.Diagnostics) {
	record := access.Record{EndsAt: timeOf(m.EndsAt), Generation: m.Generation.ValueInt64()}
	if !m.TokenID.IsNull() {
		record.Current = &access.Token{
			ID:          m.TokenID.ValueInt64(),
			Username:    access.DockerConfigUsername(m.DockerConfigJSON.ValueString()),
			CreatedAt:   timeOf(m.CreatedAt),
			ExpiresAt:   timeOf(m.ExpiresAt),
			RotateAt:    timeOf(m.RotateAt),
			SecretKnown: !m.Token.IsNull(),
		}
	}
	var retired []retiredTokenModel
	var diags diag.Diagnostics
	if !m.RetiredTokens.IsNull() && !m.RetiredTokens.IsUnknown() {
		diags = m.RetiredTokens.ElementsAs(ctx, &retired, false)
	}
	for _, t := range retired {
		record.Retired = append(record.Retired, access.RetiredToken{
			ID: t.TokenID.ValueInt64(), Username: t.Username.ValueString(), RetiredAt: timeOf(t.RetiredAt), RevokeAt: timeOf(t.RevokeAt), ExpiresAt: timeOf(t.ExpiresAt),
			Status: access.Status(t.Status.ValueString()),
		})
	}
	return record, diags
}

// setRecord writes everything of the record but the credentials.
func (m *model) setRecord(record access.Record) {
	m.TokenID, m.CreatedAt, m.ExpiresAt, m.RotateAt = types.Int64Null(), timeValue(time.Time{}), timeValue(time.Time{}), timeValue(time.Time{})
	if t := record.Current; t != nil {
		m.TokenID = types.Int64Value(t.ID)
		m.CreatedAt, m.ExpiresAt, m.RotateAt = timeValue(t.CreatedAt), timeValue(t.ExpiresAt), timeValue(t.RotateAt)
	}
	m.EndsAt = timeValue(record.EndsAt)
	m.Generation = types.Int64Value(record.Generation)
	m.RetiredTokens = retiredTokensValue(record.Retired)
}

func retiredTokensValue(retired []access.RetiredToken) types.List {
	elements := make([]attr.Value, 0, len(retired))
	for _, t := range retired {
		elements = append(elements, types.ObjectValueMust(retiredTokenType.AttrTypes, map[string]attr.Value{
			"token_id":   types.Int64Value(t.ID),
			"username":   stringValue(t.Username),
			"retired_at": timeValue(t.RetiredAt),
			"revoke_at":  timeValue(t.RevokeAt),
			"expires_at": timeValue(t.ExpiresAt),
			"status":     stringValue(string(t.Status)),
		}))
	}
	return types.ListValueMust(retiredTokenType, elements)
}

func idsValue(ids []int64) types.List {
	elements := make([]attr.Value, 0, len(ids))
	for _, id := range ids {
		elements = append(elements, types.Int64Value(id))
	}
	return types.ListValueMust(types.Int64Type, elements)
}

// copyComputed takes over everything that is not an argument.
func (m *model) copyComputed(from model) {
	arguments := *m
	*m = from
	m.Project, m.Mode, m.Name, m.Username, m.Scopes = arguments.Project, arguments.Mode, arguments.Name, arguments.Username, arguments.Scopes
	m.Visibility, m.RegistryAccessLevel, m.AutoDevOpsEnabled = arguments.Visibility, arguments.RegistryAccessLevel, arguments.AutoDevOpsEnabled
	m.Rotation, m.Permanent, m.RotateWhenChanged = arguments.Rotation, arguments.Permanent, arguments.RotateWhenChanged
	m.OnNotRequired, m.Verify, m.Timeouts = arguments.OnNotRequired, arguments.Verify, arguments.Timeouts
}
