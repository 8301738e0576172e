package registryaccess

import (
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/arguments"
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
	Seal                types.Object   `tfsdk:"seal"`
	Verify              types.Bool     `tfsdk:"verify"`
	CIVariables         types.Object   `tfsdk:"ci_variables"`
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
	SealedCredentials types.String      `tfsdk:"sealed_credentials"`
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

	CIStatus           types.String      `tfsdk:"ci_status"`
	PublishedAt        timetypes.RFC3339 `tfsdk:"published_at"`
	EnvironmentsBehind types.List        `tfsdk:"environments_behind"`
}

// The types of nested attributes are the schema's.
func rotationType() map[string]attr.Type { return resourceCodec().attributeTypes("rotation") }
func factsType() map[string]attr.Type    { return resourceCodec().attributeTypes("facts") }
func ciVariablesType() map[string]attr.Type {
	return resourceCodec().attributeTypes("ci_variables")
}
func environmentType() types.ObjectType {
	return types.ObjectType{AttrTypes: resourceCodec().attributeTypes("environments_behind")}
}
func retiredTokenType() types.ObjectType {
	return types.ObjectType{AttrTypes: resourceCodec().attributeTypes("retired_tokens")}
}

// TimeValue stores whole seconds in UTC; null for the zero time.
func TimeValue(t time.Time) timetypes.RFC3339 {
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
	return types.ObjectValueMust(factsType(), map[string]attr.Value{
		"visibility":                      stringValue(facts.Visibility),
		"container_registry_access_level": stringValue(facts.RegistryAccessLevel),
		"auto_devops_enabled":             types.BoolPointerValue(facts.AutoDevOps),
		"archived":                        types.BoolValue(facts.Archived),
		"deletion_scheduled":              types.BoolValue(facts.DeletionScheduled),
	})
}

// facts are what Read, or the creation, stored of GitLab's answer.
func (m model) facts() access.Facts {
	facts := access.Facts{ImagePrefix: m.ImagePrefix.ValueString()}
	if m.Facts.IsNull() || m.Facts.IsUnknown() {
		return facts
	}
	stored := nested(m.Facts.Attributes())
	facts.Visibility = stored.text("visibility")
	facts.RegistryAccessLevel = stored.text("container_registry_access_level")
	facts.AutoDevOps = stored.flag("auto_devops_enabled").ValueBoolPointer()
	facts.Archived = stored.flag("archived").ValueBool()
	facts.DeletionScheduled = stored.flag("deletion_scheduled").ValueBool()
	return facts
}

// nested are the attributes of a nested attribute. Their types are the schema's, so what
// is not of the type asked for is not set.
type nested map[string]attr.Value

func (n nested) text(name string) string {
	value, _ := n[name].(types.String)
	return value.ValueString()
}

func (n nested) flag(name string) types.Bool {
	value, _ := n[name].(types.Bool)
	return value
}

func (n nested) time(name string) time.Time {
	value, _ := n[name].(timetypes.RFC3339)
	return timeOf(value)
}

func (n nested) id(name string) int64 {
	value, _ := n[name].(types.Int64)
	return value.ValueInt64()
}

func (m model) overrides() access.Overrides {
	return access.Overrides{
		Visibility:          m.Visibility.ValueStringPointer(),
		RegistryAccessLevel: m.RegistryAccessLevel.ValueStringPointer(),
		AutoDevOps:          m.AutoDevOpsEnabled.ValueBoolPointer(),
	}
}

// rotation returns the rotation argument; false if part of it is unknown.
func (m model) rotation() (rotation access.Rotation, known bool) {
	if m.Rotation.IsUnknown() || m.Permanent.IsUnknown() || m.CIVariables.IsUnknown() {
		return access.Rotation{}, false
	}
	rotation.Variables = !m.CIVariables.IsNull()
	attributes := m.Rotation.Attributes()
	for name, into := range map[string]**int64{
		"expiration_days": &rotation.ExpirationDays, "rotate_before_days": &rotation.RotateBeforeDays,
		"overlap_days": &rotation.OverlapDays, "spread_days": &rotation.SpreadDays,
	} {
		value, _ := attributes[name].(types.Number)
		if value.IsUnknown() {
			return access.Rotation{}, false
		}
		*into = arguments.Days(value)
	}
	return rotation, true
}

// publicationScope is the environment scope in which ci_variables publishes; empty without it.
func (m model) publicationScope() string {
	if m.CIVariables.IsNull() {
		return ""
	}
	if scope := nested(m.CIVariables.Attributes()).text("environment_scope"); scope != "" {
		return scope
	}
	return access.DefaultScope
}

// overwrites reports whether variables of somebody else may be taken.
func (m model) overwrites() bool {
	return nested(m.CIVariables.Attributes()).flag("overwrite").ValueBool()
}

// endsAtOnce reports whether the configuration asks for no overlap.
func (m model) endsAtOnce() bool {
	rotation, known := m.rotation()
	return known && rotation.OverlapDays != nil && *rotation.OverlapDays == 0
}

// recordWith is the record with what only the private state knows of it.
func (m model) recordWith(n notes) access.Record {
	record := m.record()
	if current := record.Current; current != nil {
		if current.Username == "" {
			current.Username = n.origin.Tokens[current.ID].Username
		}
		current.ForVariables = n.mintedWithOf(m, current.ID).ForVariables
	}
	h := n.history
	record.Publication = access.Publication{At: timeOf(m.PublishedAt), Status: access.CIStatus(m.CIStatus.ValueString()), Scope: h.Scope, Stale: h.Stale}
	if h.Version == 0 && (!m.CIStatus.IsNull() || !m.PublishedAt.IsNull()) {
		// A state that was carried elsewhere, or a tainted one, has lost its notes.
		record.Publication.Scope = m.publicationScope()
	}
	for _, p := range h.Published {
		if p.TokenID != 0 {
			record.Publication.Credentials = append(record.Publication.Credentials, access.Credentials{TokenID: p.TokenID, Username: p.Username, Digest: p.Digest})
		}
	}
	if last, ok := h.last(); ok {
		record.Publication.Holder = last.TokenID
	}
	record.Publication.Credentials = append(record.Publication.Credentials, m.credentials(record))
	if record.Current != nil {
		record.Current.Published = h.published(record.Current.ID) || h.Version == 0 && record.Publication.Scope != ""
	}
	return record
}

// published reports whether the token may be, or may have been, in CI/CD variables.
func (h history) published(tokenID int64) bool {
	return slices.ContainsFunc(h.Published, func(p access.PublishedToken) bool { return p.TokenID == tokenID })
}

// credentials are the current ones; without a secret if the state holds it sealed.
func (m model) credentials(record access.Record) access.Credentials {
	c := access.Credentials{Username: m.Username.ValueString(), Secret: access.Secret(m.Token.ValueString())}
	if record.Current == nil {
		return c
	}
	c.TokenID = record.Current.ID
	if record.Current.Username != "" {
		c.Username = record.Current.Username
	}
	for _, published := range record.Publication.Credentials {
		if published.TokenID == c.TokenID {
			c.Digest = published.Digest
		}
	}
	return c
}

func (m model) scopes() []string {
	var scopes []string
	for _, element := range m.Scopes.Elements() {
		if scope, ok := element.(types.String); ok {
			scopes = append(scopes, scope.ValueString())
		}
	}
	slices.Sort(scopes)
	return scopes
}

// record is what a state knows of its tokens.
func (m model) record() access.Record {
	record := access.Record{EndsAt: timeOf(m.EndsAt), Generation: m.Generation.ValueInt64()}
	if !m.TokenID.IsNull() {
		record.Current = &access.Token{
			ID:          m.TokenID.ValueInt64(),
			Username:    access.DockerConfigUsername(m.DockerConfigJSON.ValueString()),
			CreatedAt:   timeOf(m.CreatedAt),
			ExpiresAt:   timeOf(m.ExpiresAt),
			RotateAt:    timeOf(m.RotateAt),
			SecretKnown: m.secretKnown(),
			Sealed:      !m.SealedCredentials.IsNull(),
		}
	}
	for _, element := range m.RetiredTokens.Elements() {
		object, _ := element.(types.Object)
		t := nested(object.Attributes())
		record.Retired = append(record.Retired, access.RetiredToken{
			ID: t.id("token_id"), Username: t.text("username"), Status: access.Status(t.text("status")),
			RetiredAt: t.time("retired_at"), RevokeAt: t.time("revoke_at"), ExpiresAt: t.time("expires_at"),
		})
	}
	return record
}

// setRecord writes everything of the record but the credentials.
func (m *model) setRecord(record access.Record) {
	m.TokenID, m.CreatedAt, m.ExpiresAt, m.RotateAt = types.Int64Null(), TimeValue(time.Time{}), TimeValue(time.Time{}), TimeValue(time.Time{})
	if t := record.Current; t != nil {
		m.TokenID = types.Int64Value(t.ID)
		m.CreatedAt, m.ExpiresAt, m.RotateAt = TimeValue(t.CreatedAt), TimeValue(t.ExpiresAt), TimeValue(t.RotateAt)
	}
	m.EndsAt = TimeValue(record.EndsAt)
	m.Generation = types.Int64Value(record.Generation)
	m.RetiredTokens = retiredTokensValue(record.Retired)
}

func retiredTokensValue(retired []access.RetiredToken) types.List {
	typ := retiredTokenType()
	elements := make([]attr.Value, 0, len(retired))
	for _, t := range retired {
		elements = append(elements, types.ObjectValueMust(typ.AttrTypes, map[string]attr.Value{
			"token_id":   types.Int64Value(t.ID),
			"username":   stringValue(t.Username),
			"retired_at": TimeValue(t.RetiredAt),
			"revoke_at":  TimeValue(t.RevokeAt),
			"expires_at": TimeValue(t.ExpiresAt),
			"status":     stringValue(string(t.Status)),
		}))
	}
	return types.ListValueMust(typ, elements)
}

func environmentsValue(environments []access.EnvironmentState) types.List {
	typ := environmentType()
	elements := make([]attr.Value, 0, len(environments))
	for _, e := range environments {
		elements = append(elements, types.ObjectValueMust(typ.AttrTypes, map[string]attr.Value{
			"name":        types.StringValue(e.Name),
			"deployed_at": TimeValue(e.DeployedAt),
			"holds":       types.StringValue(string(e.Holds)),
			"until":       TimeValue(e.Until),
		}))
	}
	return types.ListValueMust(typ, elements)
}

// environmentsBehind reads the list back.
func (m model) environmentsBehind() []access.EnvironmentState {
	var environments []access.EnvironmentState
	for _, element := range m.EnvironmentsBehind.Elements() {
		object, _ := element.(types.Object)
		e := nested(object.Attributes())
		environments = append(environments, access.EnvironmentState{
			Name: e.text("name"), DeployedAt: e.time("deployed_at"), Holds: access.Holding(e.text("holds")), Until: e.time("until"),
		})
	}
	return environments
}

// IDsValue is a list of ids.
func IDsValue(ids []int64) types.List {
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
	m.CIVariables = arguments.CIVariables
	m.Seal = arguments.Seal
}
