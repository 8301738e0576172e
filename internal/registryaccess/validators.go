package registryaccess

import (
	"context"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

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
