// Package registryaccess holds the autodevops_registry_access resource and data
// source, and the autodevops_registry_coverage data source. They translate between
// Terraform and the decisions of package access, and carry the decisions out in GitLab.
package registryaccess

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/arguments"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

var (
	_ resource.Resource                   = (*Resource)(nil)
	_ resource.ResourceWithConfigure      = (*Resource)(nil)
	_ resource.ResourceWithValidateConfig = (*Resource)(nil)
	_ resource.ResourceWithModifyPlan     = (*Resource)(nil)
	_ resource.ResourceWithImportState    = (*Resource)(nil)
	_ resource.ResourceWithIdentity       = (*Resource)(nil)
)

// operationTimeout bounds an operation that has no timeout of its own.
const operationTimeout = 5 * time.Minute

// Resource is autodevops_registry_access.
type Resource struct {
	// gitlab is nil while the provider's configuration is not known.
	gitlab *gitlab.Client
	// sealKeys are the public keys of the provider's seal identities.
	sealKeys []string
}

// ResourceData is what the provider's configuration gives to the resource.
type ResourceData struct {
	Client *gitlab.Client
	// SealKeys are the public keys of the seal identities; none if there are none, or if
	// they are not known yet.
	SealKeys []string
}

// NewResource returns the resource.
func NewResource() resource.Resource { return &Resource{} }

// Metadata implements resource.Resource.
func (r *Resource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_registry_access"
	// The name is part of the identity and can change in place.
	resp.ResourceBehavior.MutableIdentity = true
}

// Configure implements resource.ResourceWithConfigure.
func (r *Resource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	providerData := req.ProviderData
	if data, ok := providerData.(ResourceData); ok {
		providerData, r.sealKeys = data.Client, data.SealKeys
	}
	client, diags := ClientOf(providerData)
	resp.Diagnostics.Append(diags...)
	r.gitlab = client
}

// ClientOf is the client in the provider's data; nil without an error while the provider
// is not configured.
func ClientOf(providerData any) (*gitlab.Client, diag.Diagnostics) {
	var diags diag.Diagnostics
	if providerData == nil {
		return nil, nil
	}
	client, ok := providerData.(*gitlab.Client)
	if !ok {
		diags.AddError("Cannot use the provider", "The provider handed over data of another kind. This is a bug in the provider; please report it.")
	}
	return client, diags
}

// ValidateConfig implements resource.ResourceWithValidateConfig.
func (r *Resource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	config, diags := resourceCodec().decode(ctx, req.Config.Raw)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	arguments.CheckTimeouts(config.Timeouts.Attributes(), &resp.Diagnostics)
	rotation, known := config.rotation()
	if !known || resp.Diagnostics.HasError() {
		return
	}
	_, err := access.NewSchedule(rotation, config.Permanent.ValueBool())
	if invalid, ok := errors.AsType[*access.InvalidRotationError](err); ok {
		resp.Diagnostics.AddAttributeError(path.Root("rotation").AtName(invalid.Attribute), "Invalid rotation", invalid.Error()+".")
	}
}

// identityModel is the resource identity.
type identityModel struct {
	ProjectID types.Int64  `tfsdk:"project_id"`
	Name      types.String `tfsdk:"name"`
}

// setIdentity must happen in every Create, Read and Update. CLIs before 1.12 know no identities.
func setIdentity(ctx context.Context, identity *tfsdk.ResourceIdentity, m model) diag.Diagnostics {
	if identity == nil {
		return nil
	}
	return identity.Set(ctx, identityModel{ProjectID: m.ProjectID, Name: m.Name})
}

// withSecretMasked keeps the state's credentials out of every log line of the operation.
func withSecretMasked(ctx context.Context, m model) context.Context {
	for _, secret := range []types.String{m.Token, m.DockerConfigJSON} {
		if value := secret.ValueString(); value != "" && value != access.EmptyDockerConfig {
			ctx = tflog.MaskAllFieldValuesStrings(ctx, value)
			ctx = tflog.MaskMessageStrings(ctx, value)
		}
	}
	return ctx
}

// subject is a project with its tokens, as a creation or an import finds it.
type subject struct {
	project gitlab.Project
	list    gitlab.TokenList
}

// find reads a project by id or path, and its tokens.
func find(ctx context.Context, client *gitlab.Client, ref string) (subject, error) {
	project, err := client.Project(ctx, ref)
	return withTokens(ctx, client, project, err)
}

// withTokens reads the tokens of a project. Whether they work depends on the time, so the
// clocks must agree.
func withTokens(ctx context.Context, client *gitlab.Client, project gitlab.Project, err error) (subject, error) {
	if err != nil {
		return subject{}, err
	}
	list, err := client.DeployTokens(ctx, project.ID)
	if err != nil {
		return subject{}, err
	}
	return subject{project: project, list: list}, client.CheckClock()
}
