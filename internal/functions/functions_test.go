package functions_test

import (
	"context"
	"encoding/json"
	"math/big"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/functions"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

const host = "registry.example.com:5050"

// object builds an object of strings; nil is unknown.
func object(values map[string]any) types.Object {
	attributes, kinds := map[string]attr.Value{}, map[string]attr.Type{}
	for name, value := range values {
		kinds[name] = types.StringType
		attributes[name] = types.StringUnknown()
		if text, ok := value.(string); ok {
			attributes[name] = types.StringValue(text)
		}
	}
	return types.ObjectValueMust(kinds, attributes)
}

// given is an access with a token.
func given(project, username string) types.Object {
	return object(map[string]any{
		"docker_config_json": access.DockerConfig(host, username, "secret-of-"+access.Secret(username)),
		"image_prefix":       host + "/" + project,
	})
}

func list(objects ...types.Object) attr.Value {
	elements, kinds := make([]attr.Value, 0, len(objects)), make([]attr.Type, 0, len(objects))
	for _, o := range objects {
		elements, kinds = append(elements, o), append(kinds, o.Type(context.Background()))
	}
	return types.TupleValueMust(kinds, elements)
}

// registry, prefix and stored are logins of other registries.
func registry(name string) types.Object {
	return object(map[string]any{"registry": name, "username": "u", "password": "p"})
}

func prefix(name string) types.Object {
	return object(map[string]any{"image_prefix": name, "username": "u", "password": "p"})
}

func stored(config string) types.Object {
	return object(map[string]any{"docker_config_json": config, "image_prefix": "ghcr.io/acme"})
}

// merge runs docker_config_json.
func merge(t *testing.T, accesses attr.Value, keyedBy string) (types.String, *function.FuncError) {
	t.Helper()
	resp := function.RunResponse{Result: function.NewResultData(types.StringUnknown())}
	functions.NewDockerConfigJSON().Run(t.Context(), function.RunRequest{
		Arguments: function.NewArgumentsData([]attr.Value{types.DynamicValue(accesses), types.StringValue(keyedBy)}),
	}, &resp)
	result, ok := resp.Result.Value().(types.String)
	if !ok {
		t.Fatalf("the result is %T", resp.Result.Value())
	}
	return result, resp.Error
}

func TestDockerConfigJSON(t *testing.T) {
	t.Parallel()
	none := object(map[string]any{"docker_config_json": access.EmptyDockerConfig, "image_prefix": host + "/acme/none"})
	login := object(map[string]any{"registry": "docker.io", "username": "u", "password": "p"})
	prefixLogin := object(map[string]any{"image_prefix": host + "/other/app", "username": "u", "password": "p"})
	shop, worker := given("acme/shop", "one"), given("acme/worker", "two")

	for name, c := range map[string]struct {
		accesses attr.Value
		keyedBy  string
		keys     []string
	}{
		"one, by host":            {shop, "host", []string{host}},
		"one, by prefix":          {shop, "image_prefix", []string{host + "/acme/shop"}},
		"two of one registry":     {list(shop, worker), "image_prefix", []string{host + "/acme/shop", host + "/acme/worker"}},
		"the same twice":          {list(shop, shop), "host", []string{host}},
		"one without a token":     {list(shop, none), "host", []string{host}},
		"none":                    {list(), "host", []string{}},
		"only without a token":    {none, "image_prefix", []string{}},
		"a plain login beside":    {list(shop, login), "host", []string{"https://index.docker.io/v1/", host}},
		"an URL beside":           {list(shop, registry("https://GHCR.io/v2/")), "host", []string{"ghcr.io", host}},
		"an URL as a prefix":      {list(shop, prefix("https://ghcr.io/acme/app/")), "image_prefix", []string{"ghcr.io/acme/app", host + "/acme/shop"}},
		"a prefix of Docker Hub":  {prefix("index.docker.io/acme/app"), "image_prefix", []string{"docker.io/acme/app"}},
		"what docker login wrote": {list(shop, stored(`{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"ghcr.io/":{"auth":"dTpw"}}}`)), "host", []string{"https://index.docker.io/v1/", "ghcr.io", host}},
		"auth alone, by prefix":   {stored(`{"auths":{"ghcr.io":{"auth":"dTpw"}}}`), "image_prefix", []string{"ghcr.io/acme"}},
		"one registry, two names": {list(registry("docker.io"), registry("https://index.docker.io/v1/")), "host", []string{"https://index.docker.io/v1/"}},
		"plain, by prefix":        {list(shop, prefixLogin), "image_prefix", []string{host + "/acme/shop", host + "/other/app"}},
		"plain prefix, by host":   {prefixLogin, "host", []string{host}},
		"by name, as of for_each": {types.ObjectValueMust(map[string]attr.Type{"shop": shop.Type(t.Context()), "worker": worker.Type(t.Context())}, map[string]attr.Value{"shop": shop, "worker": worker}), "image_prefix", []string{host + "/acme/shop", host + "/acme/worker"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, funcErr := merge(t, c.accesses, c.keyedBy)
			if funcErr != nil {
				t.Fatal(funcErr)
			}
			var config struct {
				Auths map[string]struct{ Username, Password, Auth string }
			}
			if err := json.Unmarshal([]byte(got.ValueString()), &config); err != nil || config.Auths == nil {
				t.Fatalf("%s: %v", got.ValueString(), err)
			}
			if len(config.Auths) != len(c.keys) {
				t.Errorf("%d entries, want %v", len(config.Auths), c.keys)
			}
			for _, key := range c.keys {
				if entry, ok := config.Auths[key]; !ok || entry.Username == "" || entry.Password == "" || entry.Auth == "" {
					t.Errorf("no entry for %s", key)
				}
			}
			if again, _ := merge(t, c.accesses, c.keyedBy); !again.Equal(got) {
				t.Error("the same input gave other bytes")
			}
		})
	}
}

// TestDockerConfigJSON_one: alone and by host, a registry access keeps its own bytes.
func TestDockerConfigJSON_one(t *testing.T) {
	t.Parallel()
	shop := given("acme/shop", "one")
	if got, funcErr := merge(t, shop, "host"); funcErr != nil || !got.Equal(shop.Attributes()["docker_config_json"]) {
		t.Errorf("got %v, %v", got, funcErr)
	}
}

func TestDockerConfigJSON_unknown(t *testing.T) {
	t.Parallel()
	later := object(map[string]any{"docker_config_json": nil, "image_prefix": "x/y"})
	laterPassword := types.ObjectValueMust(
		map[string]attr.Type{"registry": types.StringType, "username": types.StringType, "password": types.DynamicType},
		map[string]attr.Value{"registry": types.StringValue("ghcr.io"), "username": types.StringValue("u"), "password": types.DynamicUnknown()},
	)
	laterPrefix := object(map[string]any{"docker_config_json": access.DockerConfig(host, "one", "s"), "image_prefix": nil})
	for name, accesses := range map[string]attr.Value{
		"one": later, "one of two": list(given("acme/shop", "one"), later), "the prefix": laterPrefix, "a password of any type": laterPassword,
		"a whole object": list(types.ObjectUnknown(later.AttributeTypes(t.Context()))),
	} {
		if got, funcErr := merge(t, accesses, "image_prefix"); funcErr != nil || !got.IsUnknown() {
			t.Errorf("%s: %v, %v", name, got, funcErr)
		}
	}
	if got, funcErr := merge(t, laterPrefix, "host"); funcErr != nil || got.IsUnknown() {
		t.Errorf("the prefix does not matter by host: %v, %v", got, funcErr)
	}
}

func TestDockerConfigJSON_refusals(t *testing.T) {
	t.Parallel()
	shop := given("acme/shop", "one")
	for name, c := range map[string]struct {
		accesses attr.Value
		keyedBy  string
		want     string
	}{
		"two of one host":        {list(shop, given("acme/worker", "two")), "host", `Use keyed_by = "image_prefix"`},
		"two of one project":     {list(shop, given("acme/shop", "two")), "image_prefix", "one for each key"},
		"another key":            {shop, "path", `must be "host" or "image_prefix"`},
		"text":                   {types.StringValue("x"), "host", "credentials must be an autodevops_registry_access"},
		"null":                   {types.ObjectNull(shop.AttributeTypes(t.Context())), "host", "an element is null"},
		"not a docker config":    {object(map[string]any{"docker_config_json": "gldt-secret", "image_prefix": "x"}), "host", "it is not a docker config"},
		"no prefix":              {object(map[string]any{"docker_config_json": access.DockerConfig(host, "one", "s")}), "image_prefix", "image_prefix is missing"},
		"a login without a name": {object(map[string]any{"registry": "x", "password": "p"}), "host", "username is missing"},
		"something else":         {object(map[string]any{"a": "b"}), "host", "neither a registry access resource nor an object with a password"},
		"no host":                {registry("https://"), "host", "registry cannot be used: it has no host. Possible are"},
		"a password in a URL":    {registry("https://u:secret@ghcr.io"), "host", "registry cannot be used: it contains a user, a password"},
		"another scheme":         {list(shop, prefix("oci://ghcr.io/acme")), "image_prefix", "element 1: image_prefix cannot be used: it has another scheme than https and http"},
		"a URL in a config":      {stored(`{"auths":{"https://u:secret@ghcr.io":{"auth":"dTpw"}}}`), "host", "a registry in docker_config_json cannot be used"},
		"a user with a space":    {object(map[string]any{"registry": "ghcr.io", "username": "u v", "password": "secret"}), "host", "username contains a colon, white space"},
		"a password of a file":   {object(map[string]any{"registry": "ghcr.io", "username": "u", "password": "secret\n"}), "host", "Use trimspace(...)"},
		"a number":               {types.ObjectValueMust(map[string]attr.Type{"registry": types.StringType, "username": types.NumberType, "password": types.StringType}, map[string]attr.Value{"registry": types.StringValue("ghcr.io"), "username": types.NumberValue(big.NewFloat(5)), "password": types.StringValue("p")}), "host", "username is not a string"},
		"a helper":               {stored(`{"auths":{"ghcr.io":{}},"credsStore":"desktop"}`), "host", "credsStore"},
		"a name in a map":        {types.MapValueMust(shop.Type(t.Context()), map[string]attr.Value{"a": shop, "b": types.ObjectNull(shop.AttributeTypes(t.Context()))}), "host", `element "b": an element is null`},
	} {
		_, funcErr := merge(t, c.accesses, c.keyedBy)
		if funcErr == nil || !strings.Contains(funcErr.Text, c.want) || strings.Contains(funcErr.Text, "secret") {
			t.Errorf("%s: %v", name, funcErr)
		}
		endsOpen(t, funcErr)
	}
}

// endsOpen: the CLI puts a full stop behind the message of a function.
func endsOpen(t *testing.T, funcErr *function.FuncError) {
	t.Helper()
	if funcErr != nil && strings.HasSuffix(funcErr.Text, ".") {
		t.Errorf("%q ends in a full stop", funcErr.Text)
	}
}

func TestRegistryAccessRequired(t *testing.T) {
	t.Parallel()
	run := func(visibility, level string, autoDevOps types.Bool) (types.Object, *function.FuncError) {
		resp := function.RunResponse{Result: function.NewResultData(types.ObjectUnknown(map[string]attr.Type{
			"required": types.BoolType, "reason": types.StringType, "explanation": types.StringType,
		}))}
		functions.NewRegistryAccessRequired().Run(t.Context(), function.RunRequest{Arguments: function.NewArgumentsData([]attr.Value{
			types.StringValue(visibility), types.StringValue(level), autoDevOps,
		})}, &resp)
		result, ok := resp.Result.Value().(types.Object)
		if !ok {
			t.Fatalf("the result is %T", resp.Result.Value())
		}
		return result, resp.Error
	}
	got, funcErr := run("public", "private", types.BoolValue(true))
	if funcErr != nil || !got.Attributes()["required"].Equal(types.BoolValue(true)) || !got.Attributes()["reason"].Equal(types.StringValue("auto_devops_members_only")) {
		t.Errorf("got %v, %v", got, funcErr)
	}
	if got, funcErr = run("public", "enabled", types.BoolNull()); funcErr != nil || !got.Attributes()["required"].Equal(types.BoolValue(false)) {
		t.Errorf("public: %v, %v", got, funcErr)
	}
	for argument, c := range map[int64][2]string{0: {"secret", "enabled"}, 1: {"private", "some"}, 2: {"private", "enabled"}} {
		if _, funcErr = run(c[0], c[1], types.BoolNull()); funcErr == nil || funcErr.FunctionArgument == nil || *funcErr.FunctionArgument != argument {
			t.Errorf("argument %d: %v", argument, funcErr)
		}
		endsOpen(t, funcErr)
	}
}

// TestAccFunctions: two projects of one registry in one Secret, in a real plan.
// The result is sensitive because its input is.
func TestAccFunctions(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("terraform"); err != nil && os.Getenv("TF_ACC_TERRAFORM_PATH") == "" {
		t.Skip("no Terraform CLI")
	}
	g := gitlabtest.New(t)
	g.SetInstanceAutoDevOps(true)
	shop := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	worker := g.CreateProject("acme/worker", gitlabtest.ProjectOptions{})
	user := g.Maintainer(shop)
	g.SetRole(worker, user, gitlabtest.Maintainer)
	config := `
provider "autodevops" {
  base_url = "` + g.URL + `"
  token    = "` + g.CreateAccessToken(user, "api") + `"
}
resource "autodevops_registry_access" "shop" {
  project = "acme/shop"
}
resource "autodevops_registry_access" "worker" {
  project = "acme/worker"
}
locals {
  all = { shop = autodevops_registry_access.shop, worker = autodevops_registry_access.worker }
}
output "config" {
  value     = provider::autodevops::docker_config_json(local.all, "image_prefix")
  sensitive = true
}
output "keys" {
  value = nonsensitive(sort(keys(jsondecode(provider::autodevops::docker_config_json(values(local.all), "image_prefix")).auths)))
}
output "decision" {
  value = provider::autodevops::registry_access_required("internal", "enabled", true).reason
}
`
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks: []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_8_0)},
		ProtoV6ProviderFactories: map[string]func() (tfprotov6.ProviderServer, error){
			"autodevops": providerserver.NewProtocol6WithError(provider.New("test", provider.WithClock(g.Clock.Now))()),
		},
		Steps: []resource.TestStep{
			{
				Config:           config,
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectUnknownOutputValue("config")}},
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectKnownOutputValue("keys", knownvalue.ListExact([]knownvalue.Check{
						knownvalue.StringExact("registry.gitlab.example.com/acme/shop"), knownvalue.StringExact("registry.gitlab.example.com/acme/worker"),
					})),
					statecheck.ExpectKnownOutputValue("decision", knownvalue.StringExact("auto_devops_internal")),
				},
			},
			{
				Config: strings.Replace(config, "sensitive = true", "sensitive = false", 1), ExpectError: regexp.MustCompile(`sensitive`),
			},
			{
				// The CLI puts one full stop behind a message.
				Config: strings.Replace(config, `("internal"`, `("secret"`, 1), ExpectError: regexp.MustCompile(`visibility\s+has\s+no\s+value\s+"secret"\.\s`),
			},
			{
				Config: strings.Replace(config, `"image_prefix")
  sensitive`, `"host")
  sensitive`, 1), ExpectError: regexp.MustCompile(`two\s+different\s+credentials[^"]*"image_prefix"\.\s`),
			},
		},
	})
}

// TestMain makes the tests independent of the machine's CLI configuration.
func TestMain(m *testing.M) {
	if err := os.Setenv("TF_CLI_CONFIG_FILE", os.DevNull); err != nil {
		panic(err)
	}
	if strings.Contains(os.Getenv("TF_ACC_TERRAFORM_PATH"), "tofu") {
		if err := os.Setenv("TF_ACC_PROVIDER_NAMESPACE", "hashicorp"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
