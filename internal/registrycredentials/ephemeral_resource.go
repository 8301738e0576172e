// Package registrycredentials holds the ephemeral resource
// autodevops_registry_credentials: it opens the sealed credentials of a registry access
// for write-only arguments, so that no secret is in a plan or a state.
package registrycredentials

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

var (
	_ ephemeral.EphemeralResource                   = (*EphemeralResource)(nil)
	_ ephemeral.EphemeralResourceWithConfigure      = (*EphemeralResource)(nil)
	_ ephemeral.EphemeralResourceWithValidateConfig = (*EphemeralResource)(nil)
)

// ProviderData is what the provider's configuration gives to the ephemeral resource.
type ProviderData struct {
	// Identities are empty if none is configured.
	Identities seal.Identities
	// Unknown: an identity is configured, and its value is not known yet. That happens in
	// plans only, because an apply configures the provider with known values.
	Unknown bool
}

// EphemeralResource is autodevops_registry_credentials.
type EphemeralResource struct{ provider ProviderData }

// model is the ephemeral resource as the schema has it.
type model struct {
	Sealed           types.String `tfsdk:"sealed"`
	IdentityOptional types.Bool   `tfsdk:"identity_optional"`
	Username         types.String `tfsdk:"username"`
	Token            types.String `tfsdk:"token"`
	DockerConfigJSON types.String `tfsdk:"docker_config_json"`
}

// NewEphemeralResource returns the ephemeral resource.
func NewEphemeralResource() ephemeral.EphemeralResource { return &EphemeralResource{} }

// Metadata implements ephemeral.EphemeralResource.
func (e *EphemeralResource) Metadata(_ context.Context, req ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_registry_credentials"
}

// Schema implements ephemeral.EphemeralResource.
func (e *EphemeralResource) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	const none = "Null while the registry access has no token."
	resp.Schema = schema.Schema{
		MarkdownDescription: "Opens the `sealed_credentials` of an `autodevops_registry_access` for write-only arguments, so that the credentials are in no plan and no state. " +
			"The identity comes from the provider's `seal_identity` or `seal_identity_file`. " +
			"Needs Terraform or OpenTofu 1.11 or later.",
		Attributes: map[string]schema.Attribute{
			"sealed": schema.StringAttribute{Required: true,
				MarkdownDescription: "The `sealed_credentials` of an `autodevops_registry_access` with `seal`. Null is an error. While it is unknown in a plan, the apply opens it."},
			"identity_optional": schema.BoolAttribute{Optional: true,
				MarkdownDescription: "Whether the results are null, with a warning, if the provider has no identity. The only useful value is `!terraform.applying`: " +
					"plans then work without the identity, and an apply without it is an error. With `true`, an apply without the identity writes empty credentials. Default: `false`."},
			"username": schema.StringAttribute{Computed: true, MarkdownDescription: "The username of the current deploy token. " + none},
			"token":    schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The current deploy token. " + none},
			"docker_config_json": schema.StringAttribute{Computed: true, Sensitive: true,
				MarkdownDescription: "A docker config with the credentials, for a Secret of type `kubernetes.io/dockerconfigjson`. `{\"auths\":{}}` while the registry access has no token."},
		},
	}
}

// Configure implements ephemeral.EphemeralResourceWithConfigure.
func (e *EphemeralResource) Configure(_ context.Context, req ephemeral.ConfigureRequest, resp *ephemeral.ConfigureResponse) {
	if req.ProviderData == nil {
		return // the configuration is only validated
	}
	data, ok := req.ProviderData.(ProviderData)
	if !ok {
		resp.Diagnostics.AddError("Cannot use the provider", "The provider handed over data of another kind. This is a bug in the provider; please report it.")
		return
	}
	e.provider = data
}

// ValidateConfig implements ephemeral.EphemeralResourceWithValidateConfig. A CLI validates
// again before it opens, when the values are known.
func (e *EphemeralResource) ValidateConfig(ctx context.Context, req ephemeral.ValidateConfigRequest, resp *ephemeral.ValidateConfigResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	checkSealed(m, &resp.Diagnostics)
}

// checkSealed says where a null comes from.
func checkSealed(m model, diags *diag.Diagnostics) {
	if m.Sealed.IsNull() {
		diags.AddAttributeError(path.Root("sealed"), "No sealed credentials",
			"sealed is null. sealed_credentials is null while the autodevops_registry_access has no seal argument. Set seal there, or read token and docker_config_json directly.")
	}
}

// Open implements ephemeral.EphemeralResource. It is not told whether this is a plan or an
// apply, so a missing identity is an error unless the configuration says otherwise.
func (e *EphemeralResource) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if checkSealed(m, &resp.Diagnostics); resp.Diagnostics.HasError() {
		return
	}
	m.Username, m.Token, m.DockerConfigJSON = types.StringNull(), types.StringNull(), types.StringNull()
	switch {
	case e.provider.Unknown:
		resp.Diagnostics.AddWarning("Sealed credentials are not opened in this plan",
			"The provider's seal identity is not known yet, so username, token and docker_config_json are null in this plan. The apply opens them.")
	case len(e.provider.Identities) > 0:
		e.open(ctx, &m, &resp.Diagnostics)
	case m.IdentityOptional.ValueBool():
		resp.Diagnostics.AddWarning("Sealed credentials are not opened without an identity",
			"The provider has no seal identity, and identity_optional allows that: username, token and docker_config_json are null. "+
				"An apply must not write them: use identity_optional = !terraform.applying, and give the identity to the apply.")
	default:
		resp.Diagnostics.AddError("Cannot open the sealed credentials without an identity",
			"Set seal_identity or seal_identity_file in the provider's configuration, or AUTODEVOPS_SEAL_IDENTITY or AUTODEVOPS_SEAL_IDENTITY_FILE in the environment, "+
				"to an age identity of one of the recipients.\n\nTo plan without the identity, set identity_optional = !terraform.applying.")
	}
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.Result.Set(ctx, m)...)
	}
}

// open fills the results.
func (e *EphemeralResource) open(ctx context.Context, m *model, diags *diag.Diagnostics) {
	credentials, err := e.provider.Identities.Open(m.Sealed.ValueString())
	if err != nil {
		// Nothing points to the argument: the CLI would show its value, and who confused
		// two attributes has put a secret there.
		diags.AddError("Cannot open the sealed credentials", describe(err, len(e.provider.Identities)))
		return
	}
	tflog.Debug(ctx, "registry credentials: opened", map[string]any{"withdrawn": credentials.Token == ""})
	m.DockerConfigJSON = types.StringValue(credentials.DockerConfigJSON.Reveal())
	if credentials.Token != "" {
		m.Username, m.Token = types.StringValue(credentials.Username), types.StringValue(credentials.Token.Reveal())
	}
}

// describe says what is wrong with a sealed value, and what to do.
func describe(err error, identities int) string {
	said := "sealed cannot be opened: " + err.Error() + "."
	switch {
	case errors.Is(err, seal.ErrOtherRecipients):
		tried := "The provider's identity does"
		if identities > 1 {
			tried = fmt.Sprintf("The provider's %d identities do", identities)
		}
		return said + "\n\n" + tried + " not belong to any of its recipients. Compare age-keygen -y with seal.age_recipients. " +
			"After a change of age_recipients, an apply of the autodevops_registry_access seals new credentials for the new recipients."
	case errors.Is(err, seal.ErrForeign), errors.Is(err, seal.ErrDamaged):
		return said + "\n\nSet it to the sealed_credentials of an autodevops_registry_access, unchanged."
	}
	return said
}
