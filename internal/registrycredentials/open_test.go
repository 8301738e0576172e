package registrycredentials_test

import (
	"maps"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

const typeName = "autodevops_registry_credentials"

// key is a pair of keys.
type key struct{ secret, public string }

func newKey(t *testing.T) key {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key{identity.String(), identity.Recipient().String()}
}

func (k key) seal(t *testing.T, c seal.Credentials) string {
	t.Helper()
	recipients, err := seal.ParseRecipients([]string{k.public})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := recipients.Seal(c)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// published are credentials as a registry access publishes them.
func published(token string) seal.Credentials {
	c := seal.Credentials{Username: "autodevops-7-abcdefgh", Token: access.Secret(token)}
	c.DockerConfigJSON = access.Secret(access.DockerConfig("registry.example.com", c.Username, c.Token))
	return c
}

// values of an object; what is left out is null.
type values map[string]any

func encode(t *testing.T, typ tftypes.Type, given values) *tfprotov6.DynamicValue {
	t.Helper()
	attributes := map[string]tftypes.Value{}
	for name, attribute := range typ.(tftypes.Object).AttributeTypes {
		attributes[name] = tftypes.NewValue(attribute, given[name])
	}
	encoded, err := tfprotov6.NewDynamicValue(typ, tftypes.NewValue(typ, attributes))
	if err != nil {
		t.Fatal(err)
	}
	return &encoded
}

// open configures the provider, validates the arguments and opens, as a CLI does.
func open(t *testing.T, configured, arguments values) (map[string]string, []*tfprotov6.Diagnostic) {
	t.Helper()
	server := provider.NewServer(provider.New("test", provider.WithEnvironment(func(string) string { return "" }))())
	schemas, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	block := values{"base_url": "https://gitlab.example.com", "token": "glpat-0123456789abcdefghij"}
	maps.Copy(block, configured)
	ready, err := server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{Config: encode(t, schemas.Provider.ValueType(), block)})
	if err != nil || len(ready.Diagnostics) > 0 {
		t.Fatalf("configure: %v %v", err, ready.Diagnostics)
	}
	typ := schemas.EphemeralResourceSchemas[typeName].ValueType()
	config := encode(t, typ, arguments)
	valid, err := server.ValidateEphemeralResourceConfig(t.Context(), &tfprotov6.ValidateEphemeralResourceConfigRequest{TypeName: typeName, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	diagnostics := valid.Diagnostics
	opened, err := server.OpenEphemeralResource(t.Context(), &tfprotov6.OpenEphemeralResourceRequest{TypeName: typeName, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	diagnostics = append(diagnostics, opened.Diagnostics...)
	raw, err := opened.Result.Unmarshal(typ)
	if err != nil {
		t.Fatal(err)
	}
	if !raw.IsFullyKnown() {
		t.Error("a result is unknown: OpenTofu refuses that")
	}
	var attributes map[string]tftypes.Value
	if err := raw.As(&attributes); err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, name := range []string{"username", "token", "docker_config_json"} {
		var text *string
		if err := attributes[name].As(&text); err != nil {
			t.Fatal(err)
		}
		if text != nil {
			results[name] = *text
		}
	}
	return results, diagnostics
}

func TestOpen(t *testing.T) {
	t.Parallel()
	own, second, stranger := newKey(t), newKey(t), newKey(t)
	const secret = "gldt-0123456789abcdefghij"
	c := published(secret)
	sealed := own.seal(t, c)
	withdrawn := own.seal(t, seal.Credentials{DockerConfigJSON: access.EmptyDockerConfig})
	identity := values{"seal_identity": own.secret}
	all := map[string]string{"username": c.Username, "token": secret, "docker_config_json": c.DockerConfigJSON.Reveal()}
	const failure, warning = tfprotov6.DiagnosticSeverityError, tfprotov6.DiagnosticSeverityWarning

	for name, c := range map[string]struct {
		provider, arguments values
		want                map[string]string
		severity            tfprotov6.DiagnosticSeverity
		summary, detail     string
	}{
		"opened":                   {provider: identity, arguments: values{"sealed": sealed}, want: all},
		"opened with the second":   {provider: values{"seal_identity": stranger.secret + "\n" + own.secret}, arguments: values{"sealed": sealed}, want: all},
		"opened although optional": {provider: identity, arguments: values{"sealed": sealed, "identity_optional": true}, want: all},
		"withdrawn":                {provider: identity, arguments: values{"sealed": withdrawn}, want: map[string]string{"docker_config_json": `{"auths":{}}`}},
		"without an identity": {nil, values{"sealed": sealed}, nil, failure,
			"Cannot open the sealed credentials without an identity", "AUTODEVOPS_SEAL_IDENTITY_FILE"},
		"in an apply": {nil, values{"sealed": sealed, "identity_optional": false}, nil, failure,
			"Cannot open the sealed credentials without an identity", "!terraform.applying"},
		"in a plan": {nil, values{"sealed": sealed, "identity_optional": true}, nil, warning,
			"Sealed credentials are not opened without an identity", "are null"},
		"identity not known yet": {values{"seal_identity": tftypes.UnknownValue}, values{"sealed": sealed}, nil, warning,
			"Sealed credentials are not opened in this plan", "not known yet"},
		"nothing configured yet": {values{"base_url": tftypes.UnknownValue, "seal_identity": tftypes.UnknownValue}, values{"sealed": sealed}, nil, warning,
			"Sealed credentials are not opened in this plan", ""},
		"no GitLab yet": {provider: values{"base_url": tftypes.UnknownValue, "seal_identity": own.secret}, arguments: values{"sealed": sealed}, want: all},
		"for somebody else": {identity, values{"sealed": stranger.seal(t, c)}, nil, failure,
			"Cannot open the sealed credentials", "The provider's identity does not belong"},
		"for somebody else, optional": {identity, values{"sealed": stranger.seal(t, c), "identity_optional": true}, nil, failure,
			"Cannot open the sealed credentials", "other recipients"},
		"none of several": {values{"seal_identity": own.secret + "\n" + second.secret}, values{"sealed": stranger.seal(t, c)}, nil, failure,
			"Cannot open the sealed credentials", "2 identities do not belong"},
		"another attribute": {identity, values{"sealed": c.DockerConfigJSON.Reveal()}, nil, failure,
			"Cannot open the sealed credentials", "sealed_credentials of an autodevops_registry_access"},
		"cut": {identity, values{"sealed": sealed[:200]}, nil, failure, "Cannot open the sealed credentials", "incomplete"},
	} {
		got, diagnostics := open(t, c.provider, c.arguments)
		if len(got) != len(c.want) || got["username"] != c.want["username"] || got["token"] != c.want["token"] || got["docker_config_json"] != c.want["docker_config_json"] {
			t.Errorf("%s: got other results: %d of them", name, len(got))
		}
		for _, d := range diagnostics {
			if strings.Contains(d.Detail, secret) || d.Attribute != nil {
				t.Errorf("%s: the diagnostic shows, or points to, a secret", name)
			}
		}
		if c.summary == "" {
			if len(diagnostics) != 0 {
				t.Errorf("%s: got %s", name, diagnostics[0].Detail)
			}
			continue
		}
		if len(diagnostics) != 1 || diagnostics[0].Severity != c.severity || diagnostics[0].Summary != c.summary || !strings.Contains(diagnostics[0].Detail, c.detail) {
			t.Errorf("%s: got %+v, want %q", name, diagnostics, c.summary)
		}
	}
}

// TestOpen_null: null is an error whatever else is configured.
func TestOpen_null(t *testing.T) {
	t.Parallel()
	own := newKey(t)
	for _, configured := range []values{nil, {"seal_identity": own.secret}, {"seal_identity": tftypes.UnknownValue}} {
		got, diagnostics := open(t, configured, values{"identity_optional": true})
		said := false
		for _, d := range diagnostics {
			said = said || d.Severity == tfprotov6.DiagnosticSeverityError && d.Summary == "No sealed credentials" && strings.Contains(d.Detail, "no seal argument")
		}
		if !said || len(got) != 0 {
			t.Errorf("got %v", diagnostics)
		}
	}
}
