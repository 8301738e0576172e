// Command stand-in-provider takes the place of the providers for Kubernetes, GitLab, Vault and time
// where configurations are only planned and tested: it has the resources and arguments
// that the examples use, as the real providers' documentation describes them, keeps what
// it is given, and calls nobody. Its own file name says which provider it is.
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	providerschema "github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func main() {
	for _, p := range []*standIn{kubernetes(), gitlab(), vault(), clock()} {
		if strings.Contains(filepath.Base(os.Args[0]), "terraform-provider-"+p.name) {
			err := providerserver.Serve(context.Background(), func() provider.Provider { return p },
				providerserver.ServeOpts{Address: "registry.terraform.io/" + p.namespace + "/" + p.name})
			if err != nil {
				log.Fatal(err)
			}
			return
		}
	}
	log.Fatal("the file is named after no provider that this one stands in for")
}

func kubernetes() *standIn {
	metadata := schema.ListNestedBlock{NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
		"name":             schema.StringAttribute{Optional: true, Computed: true},
		"namespace":        schema.StringAttribute{Optional: true},
		"labels":           texts(),
		"annotations":      texts(),
		"generation":       schema.Int64Attribute{Computed: true},
		"resource_version": schema.StringAttribute{Computed: true},
		"uid":              schema.StringAttribute{Computed: true},
	}}}
	return &standIn{
		namespace: "hashicorp", name: "kubernetes", arguments: []string{"config_path", "config_context", "host", "token", "cluster_ca_certificate"},
		resources: map[string]schema.Schema{
			"kubernetes_secret_v1": {
				Blocks: map[string]schema.Block{"metadata": metadata},
				Attributes: map[string]schema.Attribute{
					"id":               schema.StringAttribute{Computed: true},
					"type":             schema.StringAttribute{Optional: true, Computed: true},
					"data":             schema.MapAttribute{ElementType: types.StringType, Optional: true, Sensitive: true},
					"data_wo":          schema.MapAttribute{ElementType: types.StringType, Optional: true, Sensitive: true, WriteOnly: true},
					"data_wo_revision": schema.Int64Attribute{Optional: true},
					"immutable":        schema.BoolAttribute{Optional: true},
				},
			},
			"kubernetes_namespace_v1": {
				Blocks:     map[string]schema.Block{"metadata": metadata},
				Attributes: map[string]schema.Attribute{"id": schema.StringAttribute{Computed: true}},
			},
		},
	}
}

func gitlab() *standIn {
	return &standIn{
		namespace: "gitlabhq", name: "gitlab", arguments: []string{"base_url", "token"},
		resources: map[string]schema.Schema{
			"gitlab_project": {Attributes: map[string]schema.Attribute{
				"id":                              schema.StringAttribute{Computed: true},
				"name":                            schema.StringAttribute{Required: true},
				"path_with_namespace":             schema.StringAttribute{Computed: true},
				"namespace_id":                    schema.Int64Attribute{Optional: true, Computed: true},
				"visibility_level":                schema.StringAttribute{Optional: true, Computed: true},
				"container_registry_access_level": schema.StringAttribute{Optional: true, Computed: true},
				"auto_devops_enabled":             schema.BoolAttribute{Optional: true, Computed: true},
			}},
			"gitlab_project_deploy_token": {Attributes: map[string]schema.Attribute{
				"id":              schema.StringAttribute{Computed: true},
				"deploy_token_id": schema.Int64Attribute{Computed: true},
				"project":         schema.StringAttribute{Required: true},
				"name":            schema.StringAttribute{Required: true},
				"username":        schema.StringAttribute{Optional: true, Computed: true},
				"scopes":          schema.SetAttribute{ElementType: types.StringType, Required: true},
				"expires_at":      schema.StringAttribute{Optional: true},
				"token":           schema.StringAttribute{Computed: true, Sensitive: true},
			}},
		},
	}
}

func vault() *standIn {
	return &standIn{
		namespace: "hashicorp", name: "vault", arguments: []string{"address", "token"},
		resources: map[string]schema.Schema{
			"vault_kv_secret_v2": {Attributes: map[string]schema.Attribute{
				"id":                   schema.StringAttribute{Computed: true},
				"mount":                schema.StringAttribute{Required: true},
				"name":                 schema.StringAttribute{Required: true},
				"data_json":            schema.StringAttribute{Optional: true, Sensitive: true},
				"data_json_wo":         schema.StringAttribute{Optional: true, WriteOnly: true},
				"data_json_wo_version": schema.Int64Attribute{Optional: true},
				"path":                 schema.StringAttribute{Computed: true},
			}},
		},
	}
}

func clock() *standIn {
	return &standIn{
		namespace: "hashicorp", name: "time",
		resources: map[string]schema.Schema{
			"time_rotating": {Attributes: map[string]schema.Attribute{
				"id":            schema.StringAttribute{Computed: true},
				"rotation_days": schema.Int64Attribute{Optional: true},
				"rfc3339":       schema.StringAttribute{Optional: true, Computed: true},
			}},
		},
	}
}

func texts() schema.Attribute {
	return schema.MapAttribute{ElementType: types.StringType, Optional: true}
}

// standIn is a provider without a service behind it.
type standIn struct {
	namespace, name string
	// arguments of the configuration, all of them optional texts.
	arguments []string
	resources map[string]schema.Schema
}

func (p *standIn) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = p.name
}

func (p *standIn) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema.Attributes = map[string]providerschema.Attribute{}
	for _, name := range p.arguments {
		resp.Schema.Attributes[name] = providerschema.StringAttribute{Optional: true}
	}
}

func (p *standIn) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {
}

func (p *standIn) DataSources(context.Context) []func() datasource.DataSource { return nil }

func (p *standIn) Resources(context.Context) []func() resource.Resource {
	var all []func() resource.Resource
	for name, s := range p.resources {
		all = append(all, func() resource.Resource { return object{name, s} })
	}
	return all
}

// object is a resource that is what the configuration says.
type object struct {
	name   string
	schema schema.Schema
}

func (o object) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = o.name
}

func (o object) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = o.schema
}

func (o object) Create(_ context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	if err := keep(req.Plan, &resp.State); err != nil {
		resp.Diagnostics.AddError("Cannot create "+o.name, err.Error())
	}
}

func (o object) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (o object) Update(_ context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	if err := keep(req.Plan, &resp.State); err != nil {
		resp.Diagnostics.AddError("Cannot update "+o.name, err.Error())
	}
}

func (o object) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// keep stores the plan, with something in the place of what it leaves open.
func keep(plan tfsdk.Plan, state *tfsdk.State) (err error) {
	state.Raw, err = tftypes.Transform(plan.Raw, func(_ *tftypes.AttributePath, v tftypes.Value) (tftypes.Value, error) {
		switch {
		case v.IsKnown():
			return v, nil
		case v.Type().Is(tftypes.String):
			return tftypes.NewValue(tftypes.String, "2026-01-01T00:00:00Z"), nil // also as a time
		case v.Type().Is(tftypes.Number):
			return tftypes.NewValue(tftypes.Number, 1), nil
		case v.Type().Is(tftypes.Bool):
			return tftypes.NewValue(tftypes.Bool, false), nil
		default:
			return tftypes.NewValue(v.Type(), nil), nil
		}
	})
	return err
}
