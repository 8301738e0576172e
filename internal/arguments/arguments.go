// Package arguments holds the checks of what users write, as far as several objects have
// the same arguments.
package arguments

import (
	"context"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/helpers/validatordiag"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var (
	// A project is a numeric id or a full path; a single word is neither.
	project  = regexp.MustCompile(`^([1-9][0-9]*|[^/\s]+(/[^/\s]+)+)$`)
	fullPath = regexp.MustCompile(`^[^/\s]+(/[^/\s]+)*$`)
)

// ProjectValidators want a project's numeric id or full path.
func ProjectValidators() []validator.String {
	return []validator.String{
		stringvalidator.RegexMatches(project,
			`must be the project's numeric id or its full path, like "acme/shop", without a host and without slashes around it`),
		possibleID{},
	}
}

// GroupValidators want a group's numeric id or full path.
func GroupValidators() []validator.String {
	return []validator.String{
		stringvalidator.RegexMatches(fullPath, `must be the group's numeric id or its full path, like "acme/platform", without a host and without slashes around it`),
		possibleID{},
	}
}

// PathValidator wants the full path of a group or project.
func PathValidator() validator.String {
	return stringvalidator.RegexMatches(fullPath, "must be a full path, without slashes around it")
}

// IsProject reports whether a text is a project's numeric id or full path.
func IsProject(ref string) bool {
	return project.MatchString(ref) && (!onlyDigits.MatchString(ref) || IsID(ref))
}

// NameValidators want a name that GitLab accepts for a deploy token.
func NameValidators() []validator.String {
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
	if ref := req.ConfigValue.ValueString(); onlyDigits.MatchString(ref) && !IsID(ref) {
		resp.Diagnostics.Append(validatordiag.InvalidAttributeValueMatchDiagnostic(req.Path, v.Description(ctx), ref))
	}
}

var onlyDigits = regexp.MustCompile(`^[0-9]+$`)

// IsID reports whether the text is an id as GitLab writes it: a positive integer of
// 64 bits.
func IsID(text string) bool {
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

// CheckTimeouts refuses timeouts that leave no time. The schema's own validator
// takes any duration, also a negative one.
func CheckTimeouts(timeouts map[string]attr.Value, diags *diag.Diagnostics) {
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

// Days is a number that WholeNumber has let through; nil for null. What the
// validator refuses becomes the nearest integer of 64 bits.
func Days(number types.Number) *int64 {
	if number.IsNull() {
		return nil
	}
	days, _ := number.ValueBigFloat().Int64()
	return &days
}
