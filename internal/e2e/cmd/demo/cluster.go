package main

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// kubernetesAddress is the provider whose place this one takes.
const kubernetesAddress = "registry.terraform.io/hashicorp/kubernetes"

// cluster stands in for the Secrets of a cluster. make e2e has a real one.
type cluster struct {
	mu      sync.Mutex
	secrets map[secretName]string
}

type secretName struct{ namespace, name string }

func newCluster() *cluster { return &cluster{secrets: map[secretName]string{}} }

// credentials are what a Secret has for a registry.
func (c *cluster) credentials(namespace, name, registry string) credentials {
	c.mu.Lock()
	defer c.mu.Unlock()
	var config struct {
		Auths map[string]struct{ Username, Password string }
	}
	if json.Unmarshal([]byte(c.secrets[secretName{namespace, name}]), &config) != nil {
		return credentials{}
	}
	auth := config.Auths[registry]
	return credentials{auth.Username, auth.Password}
}

func (c *cluster) provider() tfprotov6.ProviderServer {
	return providerserver.NewProtocol6(kubernetesProvider{c})()
}

// kubernetesProvider has one resource, with the arguments that the demo uses.
type kubernetesProvider struct{ cluster *cluster }

func (kubernetesProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "kubernetes"
}

func (kubernetesProvider) Schema(context.Context, provider.SchemaRequest, *provider.SchemaResponse) {}

func (kubernetesProvider) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {
}

func (kubernetesProvider) DataSources(context.Context) []func() datasource.DataSource { return nil }

func (p kubernetesProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return secretResource(p) }}
}

// secretResource is kubernetes_secret_v1.
type secretResource struct{ cluster *cluster }

func (secretResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "kubernetes_secret_v1"
}

func (secretResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		Attributes: map[string]schema.Attribute{
			"type": schema.StringAttribute{Optional: true},
			"data": schema.MapAttribute{ElementType: types.StringType, Optional: true, Sensitive: true},
		},
		Blocks: map[string]schema.Block{"metadata": schema.ListNestedBlock{NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{Optional: true}, "namespace": schema.StringAttribute{Optional: true},
		}}}},
	}
}

func (r secretResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	resp.State.Raw = req.Plan.Raw
	resp.Diagnostics.Append(r.write(ctx, resp.State)...)
}

func (r secretResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
	resp.Diagnostics.Append(r.write(ctx, resp.State)...)
}

func (secretResource) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (r secretResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	name, diags := nameIn(ctx, req.State)
	resp.Diagnostics.Append(diags...)
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	delete(r.cluster.secrets, name)
}

// write puts the Secret of the state into the cluster.
func (r secretResource) write(ctx context.Context, state tfsdk.State) diag.Diagnostics {
	name, diags := nameIn(ctx, state)
	var config string
	diags.Append(state.GetAttribute(ctx, path.Root("data").AtMapKey(".dockerconfigjson"), &config)...)
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.cluster.secrets[name] = config
	return diags
}

func nameIn(ctx context.Context, state tfsdk.State) (name secretName, diags diag.Diagnostics) {
	metadata := path.Root("metadata").AtListIndex(0)
	diags.Append(state.GetAttribute(ctx, metadata.AtName("namespace"), &name.namespace)...)
	diags.Append(state.GetAttribute(ctx, metadata.AtName("name"), &name.name)...)
	return name, diags
}
