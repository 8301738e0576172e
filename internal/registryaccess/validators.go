package registryaccess

import (
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

// canBeSealedFor wants age X25519 recipients.
type canBeSealedFor struct{}

// Description implements validator.Describer.
func (canBeSealedFor) Description(context.Context) string { return "must be age X25519 recipients" }

// MarkdownDescription implements validator.Describer.
func (v canBeSealedFor) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateSet implements validator.Set.
func (canBeSealedFor) ValidateSet(_ context.Context, req validator.SetRequest, resp *validator.SetResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	var keys []string
	for _, element := range req.ConfigValue.Elements() {
		key, isText := element.(types.String)
		if !isText || key.IsNull() {
			return // NoNullValues says so
		}
		if !key.IsUnknown() {
			keys = append(keys, key.ValueString())
		}
	}
	if len(keys) == 0 && len(req.ConfigValue.Elements()) > 0 {
		return
	}
	const summary = "Invalid recipients of sealed credentials"
	_, err := seal.ParseRecipients(keys)
	invalid, _ := errors.AsType[*seal.RecipientError](err)
	switch {
	case err == nil:
	case invalid != nil && invalid.Public:
		resp.Diagnostics.AddAttributeError(req.Path, summary, Capitalize(err.Error())+".")
	default:
		// A CLI may show the line of the configuration in which the secret stands.
		resp.Diagnostics.AddError(summary, "seal.age_recipients: "+err.Error()+".")
	}
}

// includesReadRegistry wants read_registry among the scopes.
type includesReadRegistry struct{}

// Description implements validator.Describer.
func (includesReadRegistry) Description(context.Context) string { return "must contain read_registry" }

// MarkdownDescription implements validator.Describer.
func (v includesReadRegistry) MarkdownDescription(ctx context.Context) string {
	return v.Description(ctx)
}

// ValidateSet implements validator.Set.
func (includesReadRegistry) ValidateSet(_ context.Context, req validator.SetRequest, resp *validator.SetResponse) {
	elements := req.ConfigValue.Elements()
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() ||
		slices.ContainsFunc(elements, attr.Value.IsUnknown) {
		return
	}
	for _, e := range elements {
		if e.Equal(types.StringValue(access.ScopeReadRegistry)) {
			return
		}
	}
	resp.Diagnostics.AddAttributeError(req.Path, "Missing scope read_registry",
		"A deploy token without the scope read_registry cannot pull images. Add it to scopes.")
}
