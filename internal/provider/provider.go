// Package provider holds the provider's configuration and the list of its objects.
package provider

import (
	"context"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/autodevops/terraform-provider-autodevops/internal/arguments"
	"github.com/autodevops/terraform-provider-autodevops/internal/functions"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/registryaccess"
	"github.com/autodevops/terraform-provider-autodevops/internal/registrycoverage"
	"github.com/autodevops/terraform-provider-autodevops/internal/registrycredentials"
)

var (
	_ provider.Provider                       = (*Provider)(nil)
	_ provider.ProviderWithFunctions          = (*Provider)(nil)
	_ provider.ProviderWithEphemeralResources = (*Provider)(nil)
)

// Provider is the autodevops provider.
type Provider struct {
	version string
	now     func() time.Time
	pause   func(time.Duration) time.Duration
	getenv  func(string) string
	// client is nil while the configuration is not known.
	client           atomic.Pointer[gitlab.Client]
	withoutShortcuts bool
}

// typeName begins the names of the provider's objects.
const typeName = "autodevops"

// Option changes what a provider takes from its surroundings.
type Option func(*Provider)

// WithClock sets the clock by which tokens live.
func WithClock(now func() time.Time) Option { return func(p *Provider) { p.now = now } }

// WithPause maps each pause before a retry to the one that is made.
func WithPause(pause func(time.Duration) time.Duration) Option {
	return func(p *Provider) { p.pause = pause }
}

// WithEnvironment replaces the process's environment variables.
func WithEnvironment(getenv func(string) string) Option {
	return func(p *Provider) { p.getenv = getenv }
}

// WithoutShortcuts leaves every call to the framework, to show that nothing but the
// speed depends on them.
func WithoutShortcuts() Option { return func(p *Provider) { p.withoutShortcuts = true } }

// New returns a constructor of the provider, as the plugin server wants it.
func New(version string, options ...Option) func() provider.Provider {
	return func() provider.Provider {
		p := &Provider{version: version, now: time.Now, getenv: environment}
		for _, option := range options {
			option(p)
		}
		return p
	}
}

// Metadata implements provider.Provider.
func (p *Provider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = typeName
	resp.Version = p.version
}

// Schema implements provider.Provider.
func (p *Provider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	notEmpty := []validator.String{stringvalidator.LengthAtLeast(1)}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Keeps the registry credentials of GitLab Auto DevOps deployments on Kubernetes alive.",
		Attributes: map[string]schema.Attribute{
			"base_url": schema.StringAttribute{Optional: true,
				MarkdownDescription: "URL of the GitLab instance, with or without `/api/v4` and a trailing slash. " +
					"Default: `GITLAB_BASE_URL`, else `CI_API_V4_URL`, else `https://gitlab.com`."},
			"token": schema.StringAttribute{Optional: true, Sensitive: true,
				MarkdownDescription: "A personal, project, group or OAuth access token with the scope `api`, whose user has the Maintainer role in the projects. " +
					"A CI/CD job token cannot manage deploy tokens. Default: `GITLAB_TOKEN`."},
			"cacert_file": schema.StringAttribute{Optional: true, Validators: notEmpty,
				MarkdownDescription: "A file with PEM certificates to trust for the GitLab instance, instead of the system's."},
			"client_cert": schema.StringAttribute{Optional: true, Validators: notEmpty,
				MarkdownDescription: "A file with a PEM client certificate, for a GitLab instance behind a proxy that asks for one. Needs `client_key`."},
			"client_key": schema.StringAttribute{Optional: true, Sensitive: true, Validators: notEmpty,
				MarkdownDescription: "A file with the PEM key of `client_cert`."},
			"insecure": schema.BoolAttribute{Optional: true,
				MarkdownDescription: "Do not verify the certificate of the GitLab instance. Default: `false`."},
			"headers": schema.MapAttribute{ElementType: types.StringType, Optional: true, Sensitive: true,
				Validators: []validator.Map{mapvalidator.NoNullValues()},
				MarkdownDescription: "Headers to add to every request, for example for an authenticating proxy. `Authorization` is for that proxy; the token is then sent in `PRIVATE-TOKEN`, " +
					"and the proof of `verify`, which logs in to the registry with the same header, cannot pass the proxy."},
			"token_header": schema.StringAttribute{Optional: true,
				Validators: []validator.String{stringvalidator.OneOfCaseInsensitive(gitlab.HeaderAuthorization, gitlab.HeaderPrivateToken)},
				MarkdownDescription: "The header that carries the token: `Authorization`, or `PRIVATE-TOKEN` for a proxy in front of GitLab that lets only that one through or uses the `Authorization` header itself. " +
					"GitLab does not accept OAuth access tokens in `PRIVATE-TOKEN`. Default: `Authorization`, or `PRIVATE-TOKEN` if `headers` sets `Authorization`."},
			"retries": schema.NumberAttribute{Optional: true,
				Validators:          []validator.Number{arguments.WholeNumber(0, mostRetries)},
				MarkdownDescription: fmt.Sprintf("How often a request that can be repeated safely is repeated, from 0 to %d. Default: %d.", mostRetries, gitlab.DefaultRetries)},
			"prefetch_groups": schema.ListAttribute{ElementType: types.StringType, Optional: true,
				Validators: []validator.List{
					listvalidator.NoNullValues(),
					listvalidator.ValueStringsAre(stringvalidator.RegexMatches(groupPath, "must be the full path of a group, as in acme or acme/platform")),
				},
				MarkdownDescription: "Full paths of groups whose projects a plan reads with one list, subgroups included, instead of one request for each project. " +
					"A group is listed when the first project below it is read; projects that the list does not fully describe are read one by one. An apply reads a project again before it creates or takes away registry access, and data sources always read it. " +
					"Worth it from a few dozen resources. Default: none."},
			"seal_identity":      sealIdentityAttribute(),
			"seal_identity_file": sealIdentityFileAttribute(),
			"early_auth_check": schema.BoolAttribute{Optional: true,
				MarkdownDescription: "Check with one request that the token is valid, before anything else. It says nothing about scope and role. Default: `false`, no request."},
		},
	}
}

// groupPath is what GitLab allows in the path of a group, and no numeric id.
var groupPath = regexp.MustCompile(`^[A-Za-z0-9_.-]*[A-Za-z_.-][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*$`)

// Configure implements provider.Provider. While a part of the configuration is
// unknown, the objects get no client, and plan without one.
func (p *Provider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var m configuration
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	sealing := p.sealIdentities(m, &resp.Diagnostics)
	resp.EphemeralResourceData = sealing
	if m.unknown() {
		tflog.Debug(ctx, "the provider's configuration is not known yet")
		return
	}
	options := p.resolve(ctx, m, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	options.UserAgent = "terraform-provider-autodevops/" + p.version
	options.Pause = p.pause
	options.Now = p.now
	options.Secrets = sealing.Identities.Secrets()
	client, err := gitlab.New(options)
	if err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("base_url"), "Cannot configure the GitLab client", err.Error()+".")
		return
	}
	if m.EarlyAuthCheck.ValueBool() {
		if err := client.CheckToken(ctx); err != nil {
			registryaccess.AddError(&resp.Diagnostics, "Cannot use the provider's token", err)
			return
		}
	}
	p.client.Store(client)
	resp.ResourceData = registryaccess.ResourceData{Client: client, SealKeys: sealing.Identities.Recipients()}
	resp.DataSourceData = client
}

// Resources implements provider.Provider.
func (p *Provider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{registryaccess.NewResource}
}

// DataSources implements provider.Provider.
func (p *Provider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{registryaccess.NewDataSource, registrycoverage.NewDataSource}
}

// EphemeralResources implements provider.ProviderWithEphemeralResources.
func (p *Provider) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{registrycredentials.NewEphemeralResource}
}

// Functions implements provider.ProviderWithFunctions.
func (p *Provider) Functions(context.Context) []func() function.Function {
	return []func() function.Function{functions.NewDockerConfigJSON, functions.NewRegistryAccessRequired}
}
