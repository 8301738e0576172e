package registrycoverage

import (
	"context"
	"fmt"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/boolvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/arguments"
	"github.com/autodevops/terraform-provider-autodevops/internal/registryaccess"
)

// defaultExpiringWithinDays is less than half of the window in which a default
// rotation happens, so that it is reached only where applies no longer happen.
const defaultExpiringWithinDays = 14

// mostExpiringWithinDays is far beyond any token's life.
const mostExpiringWithinDays = 36500

// model is the coverage data source as its schema has it.
type model struct {
	Group              types.String   `tfsdk:"group"`
	Projects           types.Set      `tfsdk:"projects"`
	IncludeSubgroups   types.Bool     `tfsdk:"include_subgroups"`
	IncludeArchived    types.Bool     `tfsdk:"include_archived"`
	Exclude            types.Set      `tfsdk:"exclude"`
	OnlyRequired       types.Bool     `tfsdk:"only_required"`
	Name               types.String   `tfsdk:"name"`
	ExpiringWithinDays types.Number   `tfsdk:"expiring_within_days"`
	AskEnvironments    types.Bool     `tfsdk:"environments"`
	Timeouts           timeouts.Value `tfsdk:"timeouts"`

	ID        types.String `tfsdk:"id"`
	Coverage  types.Map    `tfsdk:"coverage"`
	Uncovered types.List   `tfsdk:"uncovered"`
	Expiring  types.List   `tfsdk:"expiring"`
	Unmanaged types.List   `tfsdk:"unmanaged"`
	Hidden    types.List   `tfsdk:"hidden"`
	Totals    types.Object `tfsdk:"totals"`
}

var coverageType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"project_id":          types.Int64Type,
	"required":            types.BoolType,
	"reason":              types.StringType,
	"explanation":         types.StringType,
	"hidden":              types.BoolType,
	"covered":             types.BoolType,
	"token_id":            types.Int64Type,
	"expires_at":          timetypes.RFC3339Type{},
	"expiring":            types.BoolType,
	"unmanaged_token_ids": types.ListType{ElemType: types.Int64Type},

	"deployed_environments": types.ListType{ElemType: registryaccess.EnvironmentType},
}}

// The keys of totals.
var totalsType = map[string]attr.Type{
	"projects":  types.Int64Type,
	"required":  types.Int64Type,
	"covered":   types.Int64Type,
	"uncovered": types.Int64Type,
	"expiring":  types.Int64Type,
	"unmanaged": types.Int64Type,
	"hidden":    types.Int64Type,

	"environments_behind":         types.Int64Type,
	"environments_without_access": types.Int64Type,
}

// Schema implements datasource.DataSource.
func (d *DataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := coverageArguments()
	maps.Copy(attributes, coverageResults())
	attributes["timeouts"] = timeouts.AttributesWithOpts(ctx, timeouts.Opts{
		ReadDescription: "How long a read may take, as in `30s` or `20m`. Default: `20m`.",
	})
	resp.Schema = schema.Schema{
		MarkdownDescription: "Says for all projects of a group, or for a list of projects, which of them need registry access, and which have a working deploy token for it. " +
			"For `check` blocks, reports and policies; it manages nothing.",
		Attributes: attributes,
	}
}

func coverageArguments() map[string]schema.Attribute {
	paths := func(description string, more ...validator.Set) schema.SetAttribute {
		return schema.SetAttribute{
			ElementType: types.StringType, Optional: true, MarkdownDescription: description,
			Validators: append(more, setvalidator.SizeAtLeast(1), setvalidator.NoNullValues()),
		}
	}
	ofGroup := []validator.Bool{boolvalidator.ConflictsWith(path.MatchRoot("projects"))}
	return map[string]schema.Attribute{
		"group": schema.StringAttribute{
			Optional: true, MarkdownDescription: "The group: its numeric id or its full path. Either this or `projects`.",
			Validators: append(arguments.GroupValidators(), stringvalidator.ExactlyOneOf(path.MatchRoot("group"), path.MatchRoot("projects"))),
		},
		"projects": paths("The projects: their numeric ids or full paths. Either this or `group`.", setvalidator.ValueStringsAre(arguments.ProjectValidators()...)),
		"include_subgroups": schema.BoolAttribute{
			Optional: true, Validators: ofGroup, MarkdownDescription: "Whether projects in subgroups count. Default: `true`.",
		},
		"include_archived": schema.BoolAttribute{
			Optional: true, Validators: ofGroup,
			MarkdownDescription: "Whether archived projects count, whose images can still run in a cluster. Default: `true`.",
		},
		"exclude": paths("Full paths of groups and projects that do not count, with all that is below them.",
			setvalidator.ConflictsWith(path.MatchRoot("projects")),
			setvalidator.ValueStringsAre(arguments.PathValidator())),
		"only_required": schema.BoolAttribute{
			Optional: true, MarkdownDescription: "Whether to leave out projects that certainly need no access, which saves a request for each of them; " +
				"unmanaged tokens of those are not found then. Default: `false`.",
		},
		"name": schema.StringAttribute{
			Optional: true, MarkdownDescription: "The name of the deploy tokens that count. Default: `" + access.DefaultName + "`.",
			Validators: arguments.NameValidators(),
		},
		"expiring_within_days": schema.NumberAttribute{
			Optional: true, Validators: []validator.Number{arguments.WholeNumber(0, mostExpiringWithinDays)},
			MarkdownDescription: fmt.Sprintf("How many days before its expiry a token counts as expiring, from 0 to %d. With less than the `rotate_before_days` of the resources, "+
				"it says that applies no longer happen. Default: %d.", mostExpiringWithinDays, defaultExpiringWithinDays),
		},
		"environments": schema.BoolAttribute{Optional: true, MarkdownDescription: registryaccess.EnvironmentsArgument},
	}
}

func coverageResults() map[string]schema.Attribute {
	list := func(description string) schema.Attribute {
		return schema.ListAttribute{ElementType: types.StringType, Computed: true, MarkdownDescription: description}
	}
	total := func(description string) schema.Attribute {
		return schema.Int64Attribute{Computed: true, MarkdownDescription: description}
	}
	return map[string]schema.Attribute{
		"id": schema.StringAttribute{Computed: true, MarkdownDescription: "The group, or the projects, as the configuration has them."},
		"coverage": schema.MapNestedAttribute{
			Computed: true,
			MarkdownDescription: "Each project, by its full path; one that GitLab does not show has the key that `projects` gave it. " +
				"What cannot be told is null, never false.",
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"project_id":  schema.Int64Attribute{Computed: true, MarkdownDescription: registryaccess.ProjectIDDescription},
				"required":    schema.BoolAttribute{Computed: true, MarkdownDescription: registryaccess.RequiredDescription + " With `mode = \"auto\"` and without the facts that a resource's arguments can state."},
				"reason":      schema.StringAttribute{Computed: true, MarkdownDescription: "Why, as a stable code; see the resource."},
				"explanation": schema.StringAttribute{Computed: true, MarkdownDescription: registryaccess.ExplanationDescription + " For a hidden project: what is hidden."},
				"hidden": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it cannot be told if the project is covered, mostly because the role of " +
					"the provider's user is below Maintainer."},
				"covered":    schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether a deploy token of the name can pull images now: neither revoked nor expired, and with the scope `read_registry`."},
				"token_id":   schema.Int64Attribute{Computed: true, MarkdownDescription: "The newest such token."},
				"expires_at": schema.StringAttribute{CustomType: timetypes.RFC3339Type{}, Computed: true, MarkdownDescription: "When that one expires; null for a permanent one."},
				"expiring":   schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether access is required, and that token expires within `expiring_within_days`."},
				"unmanaged_token_ids": schema.ListAttribute{ElementType: types.Int64Type, Computed: true,
					MarkdownDescription: "Active tokens of the name whose username no `autodevops_registry_access` has generated: somebody made them by hand, or with a `username` of their own."},
				"deployed_environments": schema.ListNestedAttribute{
					Computed: true, MarkdownDescription: registryaccess.EnvironmentsResult,
					NestedObject: schema.NestedAttributeObject{Attributes: registryaccess.EnvironmentAttributes()},
				},
			}},
		},
		"uncovered": list("The paths of the projects that need access and have no working token, in order."),
		"expiring":  list("The paths of the projects whose token is expiring, in order."),
		"unmanaged": list("The paths of the projects with unmanaged tokens, in order."),
		"hidden":    list("The paths of the hidden projects, in order. As long as there are some, `uncovered` may be incomplete."),
		"totals": schema.SingleNestedAttribute{
			Computed: true, MarkdownDescription: "How many projects there are, and how many of their environments.",
			Attributes: map[string]schema.Attribute{
				"projects":  total("All that `coverage` has."),
				"required":  total("Those that need access."),
				"covered":   total("Those that need access and have a working token."),
				"uncovered": total("Those that need access and have none."),
				"expiring":  total("Those whose token is expiring."),
				"unmanaged": total("Those with unmanaged tokens."),
				"hidden":    total("Those of which it cannot be told."),

				"environments_behind":         total(registryaccess.BehindTotal + " Null unless `environments` is true."),
				"environments_without_access": total(registryaccess.WithoutAccessTotal),
			},
		},
	}
}
