package registryaccess

import (
	"context"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/helpers/validatordiag"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// projectValidators want a project's numeric id or full path.
func projectValidators() []validator.String {
	return []validator.String{
		stringvalidator.RegexMatches(validProject,
			`must be the project's numeric id or its full path, like "acme/shop", without a host and without slashes around it`),
		possibleID{},
	}
}

// nameValidators want a name that GitLab accepts for a deploy token.
func nameValidators() []validator.String {
	return []validator.String{
		stringvalidator.UTF8LengthBetween(1, 255),
		stringvalidator.RegexMatches(regexp.MustCompile(`\S`), "must not be blank"),
	}
}

// possibleID refuses digits that cannot be an id of GitLab.
type possibleID struct{}

// Description implements validator.Describer.
func (possibleID) Description(context.Context) string {
	return "must be an id from 1 to 9223372036854775807, without leading zeros, or a full path"
}

// MarkdownDescription implements validator.Describer.
func (v possibleID) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateString implements validator.String.
func (v possibleID) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if ref := req.ConfigValue.ValueString(); onlyDigits.MatchString(ref) && !isID(ref) {
		resp.Diagnostics.Append(validatordiag.InvalidAttributeValueMatchDiagnostic(req.Path, v.Description(ctx), ref))
	}
}

var onlyDigits = regexp.MustCompile(`^[0-9]+$`)

// isID reports whether the text is an id as GitLab writes it: a positive integer of
// 64 bits.
func isID(text string) bool {
	id, err := strconv.ParseInt(text, 10, 64)
	return err == nil && id > 0 && strconv.FormatInt(id, 10) == text
}

// wholeNumber wants an integer between two bounds. It is for number attributes: to a
// fraction, or more than 64 bits, the framework's integer attributes say that the
// provider has a bug.
type wholeNumber struct{ least, most int64 }

// WholeNumber returns a validator that wants an integer from least to most.
func WholeNumber(least, most int64) validator.Number { return wholeNumber{least, most} }

// Description implements validator.Describer.
func (v wholeNumber) Description(context.Context) string {
	return fmt.Sprintf("must be a whole number between %d and %d", v.least, v.most)
}

// MarkdownDescription implements validator.Describer.
func (v wholeNumber) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

// ValidateNumber implements validator.Number.
func (v wholeNumber) ValidateNumber(ctx context.Context, req validator.NumberRequest, resp *validator.NumberResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	number := req.ConfigValue.ValueBigFloat()
	if got, accuracy := number.Int64(); accuracy != big.Exact || got < v.least || got > v.most {
		resp.Diagnostics.Append(validatordiag.InvalidAttributeValueDiagnostic(req.Path, v.Description(ctx), number.Text('g', 20)))
	}
}

// validateTimeouts refuses timeouts that leave no time. The schema's own validator
// takes any duration, also a negative one.
func validateTimeouts(timeouts map[string]attr.Value, diags *diag.Diagnostics) {
	for operation, value := range timeouts {
		text, isString := value.(types.String)
		if !isString || text.IsNull() || text.IsUnknown() {
			continue
		}
		if timeout, err := time.ParseDuration(text.ValueString()); err == nil && timeout <= 0 {
			diags.AddAttributeError(path.Root("timeouts").AtName(operation), "Invalid timeout",
				fmt.Sprintf("A timeout must be longer than zero, as in 30s or 20m, got %s.", text.ValueString()))
		}
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
