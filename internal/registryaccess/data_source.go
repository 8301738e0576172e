package registryaccess

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/arguments"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

var (
	_ datasource.DataSource              = (*DataSource)(nil)
	_ datasource.DataSourceWithConfigure = (*DataSource)(nil)
)

// DataSource is the autodevops_registry_access data source: the assessment of one
// project, without managing anything.
type DataSource struct{ Configured }

// Configured is a data source with its client.
type Configured struct {
	// GitLab is nil while the provider's configuration is not known.
	GitLab *gitlab.Client
}

// dataSourceModel is the data source as its schema has it.
type dataSourceModel struct {
	Project             types.String `tfsdk:"project"`
	Mode                types.String `tfsdk:"mode"`
	Name                types.String `tfsdk:"name"`
	Visibility          types.String `tfsdk:"visibility"`
	RegistryAccessLevel types.String `tfsdk:"container_registry_access_level"`
	AutoDevOpsEnabled   types.Bool   `tfsdk:"auto_devops_enabled"`
	AskEnvironments     types.Bool   `tfsdk:"environments"`

	ID          types.String `tfsdk:"id"`
	ProjectID   types.Int64  `tfsdk:"project_id"`
	ProjectPath types.String `tfsdk:"project_path"`
	Registry    types.String `tfsdk:"registry"`
	ImagePrefix types.String `tfsdk:"image_prefix"`
	Facts       types.Object `tfsdk:"facts"`
	Required    types.Bool   `tfsdk:"required"`
	Reason      types.String `tfsdk:"reason"`
	Explanation types.String `tfsdk:"explanation"`
	Tokens      types.List   `tfsdk:"tokens"`

	Environments types.List   `tfsdk:"deployed_environments"`
	Totals       types.Object `tfsdk:"totals"`
}

var seenTokenType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"token_id":   types.Int64Type,
	"username":   types.StringType,
	"scopes":     types.SetType{ElemType: types.StringType},
	"expires_at": timetypes.RFC3339Type{},
	"revoked":    types.BoolType,
	"works":      types.BoolType,
}}

// NewDataSource returns the data source.
func NewDataSource() datasource.DataSource { return &DataSource{} }

// Metadata implements datasource.DataSource.
func (d *DataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_registry_access"
}

// Configure implements datasource.DataSourceWithConfigure.
func (d *Configured) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	client, diags := ClientOf(req.ProviderData)
	resp.Diagnostics.Append(diags...)
	d.GitLab = client
}

// Begin reads the configuration of a read into a model. It reports whether the read
// can go on.
func (d *Configured) Begin(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse, model any) bool {
	resp.Diagnostics.Append(req.Config.Get(ctx, model)...)
	if resp.Diagnostics.HasError() {
		return false
	}
	if d.GitLab == nil {
		resp.Diagnostics.AddError("Cannot read without a configured provider", "The configuration of the provider is not known yet.")
		return false
	}
	return true
}

// Schema implements datasource.DataSource.
func (d *DataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Says whether a GitLab project needs registry access, why, and which deploy tokens it has for it, without managing any. " +
			"For `check` blocks and policies. Costs two requests per read, and three or a few more with `environments`.",
		Attributes: map[string]schema.Attribute{
			"project": schema.StringAttribute{Required: true, MarkdownDescription: projectDescription, Validators: arguments.ProjectValidators()},
			"mode": schema.StringAttribute{
				Optional: true, MarkdownDescription: modeDescription,
				Validators: []validator.String{stringvalidator.OneOf(texts(access.Modes())...)},
			},
			"name": schema.StringAttribute{
				Optional: true, MarkdownDescription: "The name of the deploy tokens to list. Default: `" + access.DefaultName + "`.",
				Validators: arguments.NameValidators(),
			},
			"visibility": schema.StringAttribute{
				Optional: true, MarkdownDescription: visibilityDescription,
				Validators: []validator.String{stringvalidator.OneOf(access.Visibilities()...)},
			},
			"container_registry_access_level": schema.StringAttribute{
				Optional: true, MarkdownDescription: levelDescription,
				Validators: []validator.String{stringvalidator.OneOf(access.RegistryAccessLevels()...)},
			},
			"auto_devops_enabled": schema.BoolAttribute{Optional: true, MarkdownDescription: autoDevOpsDescription},
			"environments":        schema.BoolAttribute{Optional: true, MarkdownDescription: EnvironmentsArgument},

			"id":           schema.StringAttribute{Computed: true, MarkdownDescription: idDescription},
			"project_id":   schema.Int64Attribute{Computed: true, MarkdownDescription: ProjectIDDescription},
			"project_path": schema.StringAttribute{Computed: true, MarkdownDescription: projectPathDescription},
			"registry":     schema.StringAttribute{Computed: true, MarkdownDescription: "The registry's `host[:port]`; null if the registry is off for the instance."},
			"image_prefix": schema.StringAttribute{Computed: true, MarkdownDescription: "What the names of the project's images begin with; null if the registry is off for the instance."},
			"facts": schema.SingleNestedAttribute{
				Computed: true, MarkdownDescription: "What GitLab says about the project.",
				Attributes: map[string]schema.Attribute{
					"visibility":                      schema.StringAttribute{Computed: true, MarkdownDescription: visibilityFact},
					"container_registry_access_level": schema.StringAttribute{Computed: true, MarkdownDescription: levelFact},
					"auto_devops_enabled":             schema.BoolAttribute{Computed: true, MarkdownDescription: autoDevOpsFact},
					"archived":                        schema.BoolAttribute{Computed: true, MarkdownDescription: archivedFact},
					"deletion_scheduled":              schema.BoolAttribute{Computed: true, MarkdownDescription: deletionScheduledFact},
				},
			},
			"required":    schema.BoolAttribute{Computed: true, MarkdownDescription: RequiredDescription},
			"reason":      schema.StringAttribute{Computed: true, MarkdownDescription: "Why, as a stable code; see the resource."},
			"explanation": schema.StringAttribute{Computed: true, MarkdownDescription: ExplanationDescription},
			"tokens": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "The project's deploy tokens with that name, by id, also those that no longer work. Secrets are never part of it.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"token_id":   schema.Int64Attribute{Computed: true, MarkdownDescription: "The id of the deploy token."},
					"username":   schema.StringAttribute{Computed: true, MarkdownDescription: "Its username."},
					"scopes":     schema.SetAttribute{ElementType: types.StringType, Computed: true, MarkdownDescription: "Its scopes."},
					"expires_at": schema.StringAttribute{CustomType: timetypes.RFC3339Type{}, Computed: true, MarkdownDescription: "When it expires; null for a permanent one."},
					"revoked":    schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it was revoked in GitLab."},
					"works":      schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it can pull images now: neither revoked nor expired, and with the scope `read_registry`."},
				}},
			},
			"deployed_environments": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: EnvironmentsResult,
				NestedObject: schema.NestedAttributeObject{Attributes: EnvironmentAttributes()},
			},
			"totals": schema.SingleNestedAttribute{
				Computed: true, MarkdownDescription: "How many environments there are of a kind; null where that is not known.",
				Attributes: map[string]schema.Attribute{
					"environments_behind":         schema.Int64Attribute{Computed: true, MarkdownDescription: BehindTotal},
					"environments_without_access": schema.Int64Attribute{Computed: true, MarkdownDescription: WithoutAccessTotal},
				},
			},
		},
	}
}

// Read implements datasource.DataSource.
func (d *DataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m dataSourceModel
	if !d.Begin(ctx, req, resp, &m) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()

	s, err := find(ctx, d.GitLab, m.Project.ValueString())
	if err != nil {
		AddError(&resp.Diagnostics, fmt.Sprintf("Cannot read the registry access of project %s", m.Project.ValueString()), err)
		return
	}
	mode, name := access.ModeAuto, access.DefaultName
	if !m.Mode.IsNull() {
		mode = access.Mode(m.Mode.ValueString())
	}
	if !m.Name.IsNull() {
		name = m.Name.ValueString()
	}
	overrides := access.Overrides{
		Visibility:          m.Visibility.ValueStringPointer(),
		RegistryAccessLevel: m.RegistryAccessLevel.ValueStringPointer(),
		AutoDevOps:          m.AutoDevOpsEnabled.ValueBoolPointer(),
	}
	requirement, err := access.Require(mode, overrides.Apply(s.project.Facts))
	if err != nil {
		AddUndecidable(&resp.Diagnostics, m.Project.ValueString(), err)
		return
	}
	m.fill(s, requirement)
	warnUnreadable(&resp.Diagnostics, s.project.Path, s.list.Unreadable)
	m.Tokens = d.seenTokens(s.list.Tokens, name)
	var report EnvironmentReport
	if m.AskEnvironments.ValueBool() {
		if report, err = ReportEnvironments(ctx, d.GitLab, s.project, requirement.Required, s.list.Tokens); err != nil {
			AddError(&resp.Diagnostics, "Cannot read the environments of project "+s.project.Path, err)
			return
		}
	}
	m.fillEnvironments(report)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (m *dataSourceModel) fill(s subject, requirement access.Requirement) {
	m.ID = types.StringValue(fmt.Sprint(s.project.ID))
	m.ProjectID = types.Int64Value(s.project.ID)
	m.ProjectPath = types.StringValue(s.project.Path)
	m.ImagePrefix = stringValue(s.project.Facts.ImagePrefix)
	m.Registry = stringValue(access.RegistryHost(s.project.Facts.ImagePrefix))
	m.Facts = factsValue(s.project.Facts)
	m.Required = types.BoolValue(requirement.Required)
	m.Reason = types.StringValue(string(requirement.Reason))
	m.Explanation = types.StringValue(requirement.Explanation())
}

func (m *dataSourceModel) fillEnvironments(report EnvironmentReport) {
	m.Environments = report.Value()
	behind, without := types.Int64Null(), types.Int64Null()
	if report.Known {
		behind, without = types.Int64Value(report.Behind), types.Int64Value(report.WithoutAccess)
	}
	m.Totals = types.ObjectValueMust(environmentTotalsType, map[string]attr.Value{
		"environments_behind": behind, "environments_without_access": without,
	})
}

var environmentTotalsType = map[string]attr.Type{"environments_behind": types.Int64Type, "environments_without_access": types.Int64Type}

// seenTokens lists the tokens of the name.
func (d *DataSource) seenTokens(tokens []access.DeployToken, name string) types.List {
	now := d.GitLab.Now()
	elements := []attr.Value{}
	for _, t := range tokens {
		if t.Name != name {
			continue
		}
		elements = append(elements, types.ObjectValueMust(seenTokenType.AttrTypes, map[string]attr.Value{
			"token_id":   types.Int64Value(t.ID),
			"username":   types.StringValue(t.Username),
			"scopes":     scopesValue(t.Scopes),
			"expires_at": TimeValue(t.ExpiresAt),
			"revoked":    types.BoolValue(t.Revoked),
			"works":      types.BoolValue(t.CanPull(now)),
		}))
	}
	return types.ListValueMust(seenTokenType, elements)
}
