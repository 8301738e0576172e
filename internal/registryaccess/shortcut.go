package registryaccess

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/defaults"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// Shortcut answers calls that every plan makes for every resource from their raw values:
// the decoding of the state, the refresh, and the plan of a resource with nothing due. It is there for speed
// alone. The framework (v1.19.0) copies the schema's attributes at each step of a path and
// walks the whole schema several times: 24,000 allocations for a plan, against 3,000 here.
// Whatever is not plain goes to the framework, and both come to the same answers
// (TestShortcut_sameAnswers).
type Shortcut struct {
	// TypeName of the resource.
	TypeName string
	// Client returns nil while the provider's configuration is not known.
	Client func() *gitlab.Client
}

// UpgradeResourceState answers for a state of the schema's own version, which is decoded
// and encoded and nothing else; nil if the framework has to.
func (s Shortcut) UpgradeResourceState(req *tfprotov6.UpgradeResourceStateRequest) *tfprotov6.UpgradeResourceStateResponse {
	if req.TypeName != s.TypeName || req.Version != schemaVersion || req.RawState == nil || len(req.RawState.JSON) == 0 {
		return nil
	}
	raw, err := req.RawState.UnmarshalWithOpts(resourceCodec().typ, tfprotov6.UnmarshalOpts{
		ValueFromJSONOpts: tftypes.ValueFromJSONOpts{IgnoreUndefinedAttributes: true},
	})
	if err != nil {
		return nil
	}
	upgraded, err := tfprotov6.NewDynamicValue(resourceCodec().typ, raw)
	if err != nil {
		return nil
	}
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &upgraded}
}

// ReadResource answers a refresh; nil if the framework has to.
func (s Shortcut) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) *tfprotov6.ReadResourceResponse {
	if req.TypeName != s.TypeName || s.Client() == nil {
		return nil
	}
	client := s.Client()
	state, ok := decodeRaw(ctx, req.CurrentState)
	private := rawPrivate{}
	if !ok || !private.read(req.Private) {
		return nil
	}
	var diags diag.Diagnostics
	next, result := readState(ctx, client, state, private, private, &diags)
	resp := &tfprotov6.ReadResourceResponse{NewState: req.CurrentState, Private: req.Private, NewIdentity: identityOf(state)}
	switch result {
	case readFailed:
	case readGone:
		gone, _ := tfprotov6.NewDynamicValue(resourceCodec().typ, tftypes.NewValue(resourceCodec().typ, nil))
		resp.NewState = &gone
	case readDone:
		raw, more := resourceCodec().encode(ctx, next)
		diags.Append(more...)
		encoded, err := tfprotov6.NewDynamicValue(resourceCodec().typ, raw)
		if err != nil {
			diags.AddError("Cannot write the values of the resource", err.Error())
			break
		}
		resp.NewState, resp.Private = &encoded, private.bytes()
	}
	resp.Diagnostics = protocolDiagnostics(diags)
	return resp
}

// PlanResourceChange answers the plan of a resource that stays as it is; nil if the
// framework has to.
func (s Shortcut) PlanResourceChange(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) *tfprotov6.PlanResourceChangeResponse {
	unchanged := req.PriorState != nil && req.ProposedNewState != nil && len(req.PriorState.MsgPack) > 0 &&
		bytes.Equal(req.PriorState.MsgPack, req.ProposedNewState.MsgPack)
	if req.TypeName != s.TypeName || s.Client() == nil || !unchanged {
		return nil
	}
	client := s.Client()
	state, ok := decodeRaw(ctx, req.PriorState)
	config, configOK := decodeRaw(ctx, req.Config)
	private := rawPrivate{}
	if !ok || !configOK || !private.read(req.PriorPrivate) || !resourceDefaults().hold(config, state) {
		return nil
	}
	n, diags := readNotes(ctx, private)
	if diags.HasError() || usernameReserved(config, state) {
		return nil
	}
	a, diags := assess(state.ProjectPath.ValueString(), state, config, state, n)
	if diags.HasError() {
		return nil
	}
	r := Resource{gitlab: client}
	warnAtUpdate(&diags, state, state, a, false)
	if len(diags) > 0 || !a.outcome(state, config, state, nil).sameOutcome(state) || r.windowOpened(a) {
		return nil
	}
	logDecision(ctx, "plan", state.ProjectPath.ValueString(), a)
	identity := req.PriorIdentity
	if identity == nil {
		identity = noIdentity()
	}
	return &tfprotov6.PlanResourceChangeResponse{PlannedState: req.ProposedNewState, PlannedPrivate: req.PriorPrivate, PlannedIdentity: identity}
}

// decodeRaw reads an object; false if it is null, or not one of the resource.
func decodeRaw(ctx context.Context, value *tfprotov6.DynamicValue) (model, bool) {
	if value == nil {
		return model{}, false
	}
	raw, err := value.Unmarshal(resourceCodec().typ)
	if err != nil || raw.IsNull() {
		return model{}, false
	}
	m, diags := resourceCodec().decode(ctx, raw)
	return m, !diags.HasError()
}

// rawPrivate is private state as it goes over the wire: the framework encodes it as a
// JSON object of encoded values (internal/privatestate, v1.19.0).
type rawPrivate map[string][]byte

// read reports whether the private state is the provider's alone: keys that begin with a
// dot are the framework's business.
func (p rawPrivate) read(encoded []byte) bool {
	if len(encoded) == 0 {
		return true
	}
	if json.Unmarshal(encoded, &p) != nil {
		return false
	}
	for key := range p {
		if key[:min(1, len(key))] == "." {
			return false
		}
	}
	return true
}

func (p rawPrivate) bytes() []byte {
	if len(p) == 0 {
		return nil
	}
	encoded, _ := json.Marshal(map[string][]byte(p)) // a map of bytes always encodes
	return encoded
}

// GetKey implements privateData.
func (p rawPrivate) GetKey(_ context.Context, key string) ([]byte, diag.Diagnostics) {
	return p[key], nil
}

// SetKey implements privateData.
func (p rawPrivate) SetKey(_ context.Context, key string, value []byte) diag.Diagnostics {
	if value == nil {
		delete(p, key)
		return nil
	}
	p[key] = value
	return nil
}

var identityType = tftypes.Object{AttributeTypes: map[string]tftypes.Type{"project_id": tftypes.Number, "name": tftypes.String}}

func identityOf(m model) *tfprotov6.ResourceIdentityData {
	value, _ := tfprotov6.NewDynamicValue(identityType, tftypes.NewValue(identityType, map[string]tftypes.Value{
		"project_id": tftypes.NewValue(tftypes.Number, m.ProjectID.ValueInt64Pointer()),
		"name":       tftypes.NewValue(tftypes.String, m.Name.ValueStringPointer()),
	}))
	return &tfprotov6.ResourceIdentityData{IdentityData: &value}
}

var noIdentity = sync.OnceValue(func() *tfprotov6.ResourceIdentityData {
	value, _ := tfprotov6.NewDynamicValue(identityType, tftypes.NewValue(identityType, nil))
	return &tfprotov6.ResourceIdentityData{IdentityData: &value}
})

func protocolDiagnostics(diags diag.Diagnostics) []*tfprotov6.Diagnostic {
	var result []*tfprotov6.Diagnostic
	for _, d := range diags {
		severity := tfprotov6.DiagnosticSeverityWarning
		if d.Severity() == diag.SeverityError {
			severity = tfprotov6.DiagnosticSeverityError
		}
		one := &tfprotov6.Diagnostic{Severity: severity, Summary: d.Summary(), Detail: d.Detail()}
		if at, ok := d.(diag.DiagnosticWithPath); ok && len(at.Path().Steps()) > 0 {
			// Every path of a refresh is a root attribute.
			one.Attribute = tftypes.NewAttributePath().WithAttributeName(at.Path().String())
		}
		result = append(result, one)
	}
	return result
}

// defaultValues are the schema's defaults by field of a model.
type defaultValues []defaultValue

type defaultValue struct {
	field int
	value attr.Value
}

var resourceDefaults = sync.OnceValue(func() defaultValues {
	ctx := context.Background()
	var resp resource.SchemaResponse
	(&Resource{}).Schema(ctx, resource.SchemaRequest{}, &resp)
	var values defaultValues
	for _, field := range resourceCodec().fields {
		var value attr.Value
		switch attribute := resp.Schema.Attributes[field.name].(type) {
		case interface{ StringDefaultValue() defaults.String }:
			if d := attribute.StringDefaultValue(); d != nil {
				var resp defaults.StringResponse
				d.DefaultString(ctx, defaults.StringRequest{}, &resp)
				value = resp.PlanValue
			}
		case interface{ BoolDefaultValue() defaults.Bool }:
			if d := attribute.BoolDefaultValue(); d != nil {
				var resp defaults.BoolResponse
				d.DefaultBool(ctx, defaults.BoolRequest{}, &resp)
				value = resp.PlanValue
			}
		case interface{ SetDefaultValue() defaults.Set }:
			if d := attribute.SetDefaultValue(); d != nil {
				var resp defaults.SetResponse
				d.DefaultSet(ctx, defaults.SetRequest{}, &resp)
				value = resp.PlanValue
			}
		}
		if value != nil {
			values = append(values, defaultValue{field.index, value})
		}
	}
	return values
})

// hold reports whether the state has the default wherever the configuration says nothing:
// an argument that was taken out of the configuration is still in the proposed state.
func (d defaultValues) hold(config, state model) bool {
	for _, one := range d {
		if config.field(one.field).IsNull() && !state.field(one.field).Equal(one.value) {
			return false
		}
	}
	return true
}
