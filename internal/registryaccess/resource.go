// Package registryaccess holds the autodevops_registry_access resource and data
// source, and the autodevops_registry_coverage data source. They translate between
// Terraform and the decisions of package access, and carry the decisions out in GitLab.
package registryaccess

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
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

// GitLab is what the objects of this package need of GitLab; *gitlab.Client is one.
type GitLab interface {
	Project(ctx context.Context, ref string) (gitlab.Project, error)
	// ProjectOnce is for plans: it may share one answer between resources. Applying
	// ends that.
	ProjectOnce(ctx context.Context, ref, path string) (gitlab.Project, error)
	PrefetchFailures() []gitlab.PrefetchFailure
	GroupProjects(ctx context.Context, group string, filter gitlab.GroupFilter, each func(gitlab.Project) error) error
	Applying()
	DeployTokens(ctx context.Context, projectID int64) ([]access.DeployToken, error)
	DeployToken(ctx context.Context, projectID, tokenID int64) (access.DeployToken, error)
	MintDeployToken(ctx context.Context, request gitlab.MintRequest) (gitlab.Minted, error)
	RevokeDeployToken(ctx context.Context, projectID, tokenID int64) error
	CheckToken(ctx context.Context) error
	VerifyPull(ctx context.Context, repository, username string, secret access.Secret) error
}

// Backend is the provider data of this package's objects.
type Backend struct {
	GitLab GitLab
	// Now is the clock by which tokens live.
	Now func() time.Time
}

// operationTimeout bounds an operation that has no timeout of its own.
const operationTimeout = 5 * time.Minute

// Resource is autodevops_registry_access.
type Resource struct {
	// backend is nil while the provider's configuration is not known.
	backend *Backend
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
	backend, diags := backendOf(req.ProviderData)
	resp.Diagnostics.Append(diags...)
	r.backend = backend
}

// backendOf is nil without an error while the provider is not configured.
func backendOf(providerData any) (*Backend, diag.Diagnostics) {
	var diags diag.Diagnostics
	if providerData == nil {
		return nil, nil
	}
	backend, ok := providerData.(*Backend)
	if !ok {
		diags.AddError("Cannot use the provider", "The provider handed over data of another kind. This is a bug in the provider; please report it.")
	}
	return backend, diags
}

// ValidateConfig implements resource.ResourceWithValidateConfig.
func (r *Resource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var config model
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	rotation, known, diags := config.rotation(ctx)
	resp.Diagnostics.Append(diags...)
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

// AddError turns an error of GitLab into a diagnostic: what could not be done, what
// GitLab answered, what to do.
func AddError(diags *diag.Diagnostics, summary string, err error) {
	diags.AddError(summary, describeError(err))
}

func describeError(err error) string {
	var refused *gitlab.Error
	if !errors.As(err, &refused) {
		return err.Error() + "."
	}
	said := refused.Error()
	if unclean := (*mintError)(nil); errors.As(err, &unclean) && unclean.leftover {
		said = unclean.Error()
	}
	detail := capitalize(said) + "."
	if refused.Advice != "" {
		detail += "\n\n" + refused.Advice
	}
	return detail
}

// addUndecidable reports a requirement that cannot be decided. Nothing is ever revoked because of one.
func addUndecidable(diags *diag.Diagnostics, project string, err error) {
	var undecidable *access.UndecidableError
	if !errors.As(err, &undecidable) {
		diags.AddError("Cannot decide whether "+project+" needs registry access", err.Error())
		return
	}
	at := path.Root(undecidable.Fact)
	summary := fmt.Sprintf("Cannot decide whether project %s needs registry access", project)
	switch {
	case undecidable.Fact == "auto_devops_enabled":
		diags.AddAttributeError(at, summary,
			"GitLab does not say whether Auto DevOps is on: it hides auto_devops_enabled from users below the Maintainer role.\n\n"+
				"Give the provider's user the Maintainer role in the project, set auto_devops_enabled, or set mode to \"always\" or \"never\". Nothing was changed. "+
				"To destroy the access all the same, use -refresh=false.")
	case undecidable.Value != "":
		diags.AddAttributeError(at, summary, fmt.Sprintf(
			"GitLab answered %s = %q, a value that this version of the provider does not know.\n\n"+
				"Set %s, or set mode to \"always\" or \"never\", or use a newer version of the provider. Nothing was changed.",
			undecidable.Fact, undecidable.Value, undecidable.Fact))
	default:
		diags.AddAttributeError(at, summary, fmt.Sprintf(
			"GitLab does not say the project's %s. It leaves that out for callers that it takes for anonymous.\n\n"+
				"Check the provider's token, set %s, or set mode to \"always\" or \"never\". Nothing was changed.",
			undecidable.Fact, undecidable.Fact))
	}
}
