package registryaccess_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

const typeName = "autodevops_registry_access"

// driver is a small Terraform core for one resource: it keeps state and private
// data, makes plans and applies them through the plugin protocol, and checks the
// rules that the real core checks. It sees what the CLI harness cannot: warnings,
// and what is left after an error.
type driver struct {
	*fixture

	resource *tfprotov6.Schema
	provider *tfprotov6.Schema
	state    tftypes.Value // null before the creation
	private  []byte
	// secret is what the cluster's Secret holds: it is written after an apply without an error.
	secret map[string]tftypes.Value
	// dead is a published token that somebody else has killed.
	dead string
	// running is a provider process that several drivers share; nil starts one for each command.
	running tfprotov6.ProviderServer
	// identity is the provider's seal_identity.
	identity string
	// base are arguments of every configuration that does not set them itself.
	base arguments
	// last are the diagnostics of the last call.
	last []*tfprotov6.Diagnostic
}

type arguments map[string]any

func newDriver(t *testing.T) *driver {
	t.Helper()
	s := newFixture(t)
	d := &driver{fixture: s}
	d.load()
	return d
}

// load reads the schemas; the driver has no state yet.
func (d *driver) load() {
	d.Helper()
	schemas, err := d.server().GetProviderSchema(d.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		d.Fatal(err)
	}
	d.resource, d.provider = schemas.ResourceSchemas[typeName], schemas.Provider
	d.state = tftypes.NewValue(d.resource.ValueType(), nil)
}

// server starts a new provider process, so to speak, as each CLI command does.
func (d *driver) server() tfprotov6.ProviderServer {
	d.Helper()
	server, err := d.factories()["autodevops"]()
	if err != nil {
		d.Fatal(err)
	}
	return server
}

func (d *driver) configured() tfprotov6.ProviderServer {
	d.Helper()
	if d.running != nil {
		return d.running
	}
	return d.configure(d.server())
}

func (d *driver) configure(server tfprotov6.ProviderServer) tfprotov6.ProviderServer {
	d.Helper()
	block := arguments{"base_url": d.gitlab.URL, "token": d.token}
	if d.identity != "" {
		block["seal_identity"] = d.identity
	}
	config := d.object(d.provider.ValueType(), block)
	resp, err := server.ConfigureProvider(d.Context(), &tfprotov6.ConfigureProviderRequest{Config: d.encode(config)})
	if err != nil || len(resp.Diagnostics) > 0 {
		d.Fatalf("configure: %v %v", err, describe(resp.Diagnostics))
	}
	return server
}

// object builds a value of that type from Go values; what is left out is null.
func (d *driver) object(typ tftypes.Type, values arguments) tftypes.Value {
	d.Helper()
	attributes := map[string]tftypes.Value{}
	for name, attribute := range typ.(tftypes.Object).AttributeTypes {
		value := values[name]
		switch value := value.(type) {
		case tftypes.Value:
			attributes[name] = value
		case []string:
			elements := make([]tftypes.Value, 0, len(value))
			for _, v := range value {
				elements = append(elements, tftypes.NewValue(tftypes.String, v))
			}
			attributes[name] = tftypes.NewValue(attribute, elements)
		case map[string]string:
			elements := map[string]tftypes.Value{}
			for k, v := range value {
				elements[k] = tftypes.NewValue(tftypes.String, v)
			}
			attributes[name] = tftypes.NewValue(attribute, elements)
		case arguments:
			attributes[name] = d.object(attribute, value)
		default:
			attributes[name] = tftypes.NewValue(attribute, value)
		}
	}
	return tftypes.NewValue(typ, attributes)
}

func (d *driver) encode(value tftypes.Value) *tfprotov6.DynamicValue {
	d.Helper()
	encoded, err := tfprotov6.NewDynamicValue(value.Type(), value)
	if err != nil {
		d.Fatal(err)
	}
	return &encoded
}

func (d *driver) decode(value *tfprotov6.DynamicValue) tftypes.Value {
	d.Helper()
	decoded, err := value.Unmarshal(d.resource.ValueType())
	if err != nil {
		d.Fatal(err)
	}
	return decoded
}

func (d *driver) attributes(value tftypes.Value) map[string]tftypes.Value {
	d.Helper()
	attributes := map[string]tftypes.Value{}
	if value.IsNull() {
		return attributes
	}
	if err := value.As(&attributes); err != nil {
		d.Fatal(err)
	}
	return maps.Clone(attributes) // As hands out the value's own map
}

// refresh reads. It reports whether that went without an error.
func (d *driver) refresh() bool {
	d.Helper()
	if d.state.IsNull() {
		return true
	}
	resp, err := d.configured().ReadResource(d.Context(), &tfprotov6.ReadResourceRequest{
		TypeName: typeName, CurrentState: d.encode(d.state), Private: d.private,
	})
	if err != nil {
		d.Fatal(err)
	}
	d.last = resp.Diagnostics
	if failed(resp.Diagnostics) {
		return false
	}
	d.state, d.private = d.decode(resp.NewState), resp.Private
	return true
}

// plan is a planned change.
type plan struct {
	config, prior, planned tftypes.Value
	private                []byte
	replace                bool
	diagnostics            []*tfprotov6.Diagnostic
}

func (p plan) empty() bool { return p.planned.Equal(p.prior) }

// planChange plans without a refresh.
func (d *driver) planChange(args arguments) plan {
	d.Helper()
	return d.planFor(d.configured(), d.configuration(args))
}

// configuration is the resource's with these arguments.
func (d *driver) configuration(args arguments) tftypes.Value {
	d.Helper()
	all := arguments{"project": "acme/shop"}
	maps.Copy(all, d.base)
	maps.Copy(all, args)
	return d.object(d.resource.ValueType(), all)
}

func (d *driver) planFor(server tfprotov6.ProviderServer, config tftypes.Value) plan {
	d.Helper()
	validated, err := server.ValidateResourceConfig(d.Context(), &tfprotov6.ValidateResourceConfigRequest{TypeName: typeName, Config: d.encode(config)})
	if err != nil {
		d.Fatal(err)
	}
	p := plan{config: config, prior: d.state, diagnostics: validated.Diagnostics}
	if failed(validated.Diagnostics) {
		return p
	}
	resp, err := server.PlanResourceChange(d.Context(), &tfprotov6.PlanResourceChangeRequest{
		TypeName: typeName, PriorState: d.encode(d.state), ProposedNewState: d.encode(d.propose(config)),
		Config: d.encode(config), PriorPrivate: d.private,
	})
	if err != nil {
		d.Fatal(err)
	}
	p.diagnostics = append(p.diagnostics, resp.Diagnostics...)
	d.last = p.diagnostics
	if failed(resp.Diagnostics) {
		return p
	}
	p.planned, p.private, p.replace = d.decode(resp.PlannedState), resp.PlannedPrivate, len(resp.RequiresReplace) > 0
	return p
}

// propose merges configuration and prior state as core does: computed attributes
// that are not configured keep their prior value.
func (d *driver) propose(config tftypes.Value) tftypes.Value {
	d.Helper()
	proposed, prior := d.attributes(config), d.attributes(d.state)
	for _, attribute := range d.resource.Block.Attributes {
		switch {
		case !attribute.Computed || !proposed[attribute.Name].IsNull():
		case d.state.IsNull():
			proposed[attribute.Name] = tftypes.NewValue(attribute.ValueType(), tftypes.UnknownValue)
		default:
			proposed[attribute.Name] = prior[attribute.Name]
		}
	}
	return tftypes.NewValue(d.resource.ValueType(), proposed)
}

// apply carries a plan out as the CLI does: plan again, compare, apply, compare.
// It reports whether that went without an error.
func (d *driver) apply(p plan) bool {
	d.Helper()
	if failed(p.diagnostics) {
		d.last = p.diagnostics
		return false
	}
	if p.empty() {
		return true
	}
	server := d.configured()
	again := d.planFor(server, p.config)
	if failed(again.diagnostics) {
		d.last = again.diagnostics
		return false
	}
	d.consistent("final plan", p.planned, again.planned)
	resp, err := server.ApplyResourceChange(d.Context(), &tfprotov6.ApplyResourceChangeRequest{
		TypeName: typeName, PriorState: d.encode(d.state), PlannedState: d.encode(again.planned),
		Config: d.encode(p.config), PlannedPrivate: again.private,
	})
	if err != nil {
		d.Fatal(err)
	}
	d.last = resp.Diagnostics
	d.state, d.private = d.decode(resp.NewState), resp.Private
	if failed(resp.Diagnostics) {
		return false
	}
	d.consistent("result after apply", again.planned, d.state)
	d.sealedAsConfigured(p.config)
	d.updateSecret()
	return true
}

// updateSecret writes the Secret as data_wo does: only if the revision is another.
func (d *driver) updateSecret() {
	now := d.attributes(d.state)
	now["docker_config_json"] = tftypes.NewValue(tftypes.String, d.published().DockerConfigJSON.Reveal())
	if d.secret != nil && d.secret["docker_config_revision"].Equal(now["docker_config_revision"]) {
		if !d.secret["docker_config_json"].Equal(now["docker_config_json"]) {
			d.Errorf("other credentials with the same revision %s", now["docker_config_revision"])
		}
		return
	}
	d.secret = now
}

// consistent is core's rule: what a plan knew must come true.
func (d *driver) consistent(what string, planned, got tftypes.Value) {
	d.Helper()
	promised, actual := d.attributes(planned), d.attributes(got)
	for name, value := range promised {
		if value.IsFullyKnown() && !value.Equal(actual[name]) {
			d.Errorf("inconsistent %s: %s was %s", what, name, value)
		}
	}
	if what == "result after apply" && !got.IsFullyKnown() {
		d.Errorf("unknown values after apply: %s", got)
	}
}

// run refreshes, plans and applies.
func (d *driver) runApply(args arguments) bool {
	d.Helper()
	if !d.refresh() {
		return false
	}
	return d.apply(d.planChange(args))
}

// mustApply is runApply that has to work.
func (d *driver) mustApply(args arguments) {
	d.Helper()
	if !d.runApply(args) {
		d.Fatalf("apply failed: %v", describe(d.last))
	}
}

// mustBeSettled wants an empty plan.
func (d *driver) mustBeSettled(args arguments) {
	d.Helper()
	if !d.refresh() {
		d.Fatalf("refresh failed: %v", describe(d.last))
	}
	if p := d.planChange(args); failed(p.diagnostics) || !p.empty() {
		d.Errorf("not settled: %v\n%s", describe(p.diagnostics), d.difference(p))
	}
}

func (d *driver) difference(p plan) string {
	if p.planned.Type() == nil {
		return "no plan"
	}
	before, after := d.attributes(p.prior), d.attributes(p.planned)
	var lines []string
	for name, value := range after {
		if !value.Equal(before[name]) && name != "token" && name != "docker_config_json" {
			lines = append(lines, fmt.Sprintf("%s: %s -> %s", name, before[name], value))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// destroy deletes.
func (d *driver) destroy() bool {
	d.Helper()
	if d.state.IsNull() {
		return true
	}
	server, planned := d.planDestroy()
	gone := tftypes.NewValue(d.resource.ValueType(), nil)
	resp, err := server.ApplyResourceChange(d.Context(), &tfprotov6.ApplyResourceChangeRequest{
		TypeName: typeName, PriorState: d.encode(d.state), PlannedState: planned.PlannedState, Config: d.encode(gone), PlannedPrivate: planned.PlannedPrivate,
	})
	if err != nil {
		d.Fatal(err)
	}
	d.last = resp.Diagnostics
	d.state, d.private = d.decode(resp.NewState), resp.Private
	return !failed(resp.Diagnostics)
}

// planDestroy plans a destroy without a refresh.
func (d *driver) planDestroy() (tfprotov6.ProviderServer, *tfprotov6.PlanResourceChangeResponse) {
	d.Helper()
	server := d.configured()
	gone := tftypes.NewValue(d.resource.ValueType(), nil)
	planned, err := server.PlanResourceChange(d.Context(), &tfprotov6.PlanResourceChangeRequest{
		TypeName: typeName, PriorState: d.encode(d.state), ProposedNewState: d.encode(gone), Config: d.encode(gone), PriorPrivate: d.private,
	})
	if err != nil || failed(planned.Diagnostics) {
		d.Fatalf("plan of the destroy: %v %v", err, describe(planned.Diagnostics))
	}
	return server, planned
}

// text returns a string attribute of the state; empty if null.
func (d *driver) text(name string) string { return d.textOf(d.state, name) }

func (d *driver) textOf(value tftypes.Value, name string) string {
	d.Helper()
	var s *string
	if attribute := d.attributes(value)[name]; attribute.IsKnown() && !attribute.IsNull() {
		if err := attribute.As(&s); err != nil {
			d.Fatal(err)
		}
		return *s
	}
	return ""
}

func (d *driver) isRequired() bool {
	var required bool
	if attribute := d.attributes(d.state)["required"]; !attribute.IsNull() {
		if err := attribute.As(&required); err != nil {
			d.Fatal(err)
		}
	}
	return required
}

// stateText is the whole state, for searching ids in it.
func (d *driver) stateText() string {
	if d.state.IsNull() {
		return ""
	}
	attributes := d.attributes(d.state)
	return attributes["token_id"].String() + attributes["retired_tokens"].String() + attributes["unmanaged_token_ids"].String()
}

// secretPulls reports whether what the cluster's Secret holds can pull now.
func (d *driver) secretPulls() bool {
	if d.secret == nil {
		return false
	}
	var config string
	if err := d.secret["docker_config_json"].As(&config); err != nil {
		d.Fatal(err)
	}
	username, password := credentials(config)
	return d.gitlab.CanPull(d.project, username, password)
}

func failed(diagnostics []*tfprotov6.Diagnostic) bool {
	return slices.ContainsFunc(diagnostics, func(x *tfprotov6.Diagnostic) bool { return x.Severity == tfprotov6.DiagnosticSeverityError })
}

func describe(diagnostics []*tfprotov6.Diagnostic) []string {
	texts := make([]string, 0, len(diagnostics))
	for _, x := range diagnostics {
		texts = append(texts, fmt.Sprintf("%s: %s: %s", x.Severity, x.Summary, x.Detail))
	}
	return texts
}

func summaries(diagnostics []*tfprotov6.Diagnostic) []string {
	texts := make([]string, 0, len(diagnostics))
	for _, x := range diagnostics {
		texts = append(texts, x.Summary)
	}
	slices.Sort(texts)
	return texts
}

// importState imports, with the read that follows every import.
func (d *driver) importState(id string) bool {
	d.Helper()
	_, ok := d.importWithWarnings(id)
	return ok
}

// importWithWarnings is importState that returns what the import itself says.
func (d *driver) importWithWarnings(id string) ([]*tfprotov6.Diagnostic, bool) {
	d.Helper()
	resp, err := d.configured().ImportResourceState(d.Context(), &tfprotov6.ImportResourceStateRequest{TypeName: typeName, ID: id})
	if err != nil {
		d.Fatal(err)
	}
	d.last = resp.Diagnostics
	if failed(resp.Diagnostics) {
		return resp.Diagnostics, false
	}
	d.state, d.private = d.decode(resp.ImportedResources[0].State), resp.ImportedResources[0].Private
	return resp.Diagnostics, d.refresh()
}
