package provider_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
	"github.com/autodevops/terraform-provider-autodevops/internal/provider"
)

type (
	block       map[string]any
	environment map[string]string
)

// configure runs ConfigureProvider and returns what it says.
func configure(t *testing.T, config block, env environment) []*tfprotov6.Diagnostic {
	t.Helper()
	server, encoded := prepare(t, config, env)
	resp, err := server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{Config: encoded})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Diagnostics
}

// validate runs ValidateProviderConfig, as every command does first.
func validate(t *testing.T, config block) []*tfprotov6.Diagnostic {
	t.Helper()
	server, encoded := prepare(t, config, nil)
	resp, err := server.ValidateProviderConfig(t.Context(), &tfprotov6.ValidateProviderConfigRequest{Config: encoded})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Diagnostics
}

func prepare(t *testing.T, config block, env environment) (tfprotov6.ProviderServer, *tfprotov6.DynamicValue) {
	t.Helper()
	server, err := providerserver.NewProtocol6WithError(provider.New("test", provider.WithEnvironment(func(name string) string { return env[name] }))())()
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	typ := schemas.Provider.ValueType().(tftypes.Object)
	values := map[string]tftypes.Value{}
	for name, attribute := range typ.AttributeTypes {
		if headers, isMap := config[name].(map[string]string); isMap {
			elements := map[string]tftypes.Value{}
			for k, v := range headers {
				elements[k] = tftypes.NewValue(tftypes.String, v)
			}
			values[name] = tftypes.NewValue(attribute, elements)
			continue
		}
		if value, isValue := config[name].(tftypes.Value); isValue {
			values[name] = value
			continue
		}
		values[name] = tftypes.NewValue(attribute, config[name])
	}
	encoded, err := tfprotov6.NewDynamicValue(typ, tftypes.NewValue(typ, values))
	if err != nil {
		t.Fatal(err)
	}
	return server, &encoded
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestConfigure(t *testing.T) {
	t.Parallel()
	const secret = "glpat-0123456789abcdefghij"
	const key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
	good := block{"token": secret, "base_url": "https://gitlab.example.com"}
	with := func(more block) block {
		merged := block{}
		for _, m := range []block{good, more} {
			maps.Copy(merged, m)
		}
		return merged
	}
	cases := map[string]struct {
		config   block
		env      environment
		severity tfprotov6.DiagnosticSeverity
		summary  string
		detail   string
	}{
		"all given":                     {config: good},
		"API path and slash":            {config: with(block{"base_url": "https://gitlab.example.com/api/v4/"})},
		"everything from a pipeline":    {env: environment{"GITLAB_TOKEN": secret, "CI_API_V4_URL": "https://gitlab.example.com/api/v4", "CI_JOB_TOKEN": "glcbt-64_x"}},
		"GITLAB_BASE_URL comes first":   {env: environment{"GITLAB_TOKEN": secret, "GITLAB_BASE_URL": "https://a.example.com", "CI_API_V4_URL": "::"}},
		"loopback over http":            {config: with(block{"base_url": "http://127.0.0.1:8080"})},
		"unknown token":                 {config: with(block{"token": tftypes.UnknownValue})},
		"unknown URL, no token":         {config: block{"base_url": tftypes.UnknownValue}},
		"no token":                      {config: block{}, severity: tfprotov6.DiagnosticSeverityError, summary: "Missing token", detail: "GITLAB_TOKEN"},
		"only a job token":              {env: environment{"CI_JOB_TOKEN": "glcbt-64_x"}, severity: tfprotov6.DiagnosticSeverityError, summary: "A job token is not enough", detail: "CI_JOB_TOKEN"},
		"a job token as token":          {config: with(block{"token": "glcbt-64_x"}), severity: tfprotov6.DiagnosticSeverityError, summary: "A job token is not enough", detail: "token is a CI/CD job token"},
		"the job token under its name":  {config: with(block{"token": "opaque"}), env: environment{"CI_JOB_TOKEN": "opaque"}, severity: tfprotov6.DiagnosticSeverityError, summary: "A job token is not enough"},
		"token with a line break":       {config: with(block{"token": secret + "\n"}), severity: tfprotov6.DiagnosticSeverityError, summary: "Malformed token", detail: "white space"},
		"malformed URL":                 {config: with(block{"base_url": "gitlab.example.com"}), severity: tfprotov6.DiagnosticSeverityError, summary: "Malformed base URL", detail: `must begin with "https://"`},
		"malformed URL in the pipeline": {config: block{"token": secret}, env: environment{"CI_API_V4_URL": "x"}, severity: tfprotov6.DiagnosticSeverityError, summary: "Malformed base URL", detail: "CI_API_V4_URL"},
		"credentials in the URL":        {config: with(block{"base_url": "https://root:" + secret + "@gitlab.example.com"}), severity: tfprotov6.DiagnosticSeverityError, summary: "Malformed base URL", detail: "token argument"},
		"plain http":                    {config: with(block{"base_url": "http://gitlab.example.com"}), severity: tfprotov6.DiagnosticSeverityWarning, summary: "Credentials go over plain HTTP"},
		"unreadable CA file":            {config: with(block{"cacert_file": "/does/not/exist.pem"}), severity: tfprotov6.DiagnosticSeverityError, summary: "Cannot read cacert_file", detail: "/does/not/exist.pem"},
		"empty CA file":                 {config: with(block{"cacert_file": file(t, "")}), severity: tfprotov6.DiagnosticSeverityError, summary: "Cannot read cacert_file", detail: "empty"},
		"CA file without a certificate": {config: with(block{"cacert_file": file(t, "x")}), severity: tfprotov6.DiagnosticSeverityError, summary: "Cannot use the certificates"},
		"a key instead of its file":     {config: with(block{"client_cert": file(t, "x"), "client_key": key}), severity: tfprotov6.DiagnosticSeverityError, summary: "Cannot read client_key", detail: "name of a file"},
		"certificate without key":       {config: with(block{"client_cert": file(t, "x")}), severity: tfprotov6.DiagnosticSeverityError, summary: "Incomplete client certificate"},
		"broken certificate":            {config: with(block{"client_cert": file(t, "x"), "client_key": file(t, "y")}), severity: tfprotov6.DiagnosticSeverityError, summary: "Cannot use the certificates"},
		"header of our own":             {config: with(block{"headers": map[string]string{"private-token": secret}}), severity: tfprotov6.DiagnosticSeverityError, summary: "Header cannot be set"},
		"Authorization for a proxy":     {config: with(block{"headers": map[string]string{"authorization": "Basic dXNlcjpwYXNz"}})},
		"token in PRIVATE-TOKEN":        {config: with(block{"token_header": "private-token"})},
		"token header used twice": {
			config:   with(block{"headers": map[string]string{"Authorization": "Basic dXNlcjpwYXNz"}, "token_header": "Authorization"}),
			severity: tfprotov6.DiagnosticSeverityError, summary: "Header is used twice", detail: "PRIVATE-TOKEN",
		},
		"header that repeats POSTs": {config: with(block{"headers": map[string]string{"Idempotency-Key": "x"}}), severity: tfprotov6.DiagnosticSeverityError, summary: "Header cannot be set"},
		"malformed header":          {config: with(block{"headers": map[string]string{"X Y": "z"}}), severity: tfprotov6.DiagnosticSeverityError, summary: "Malformed header"},
		"good header":               {config: with(block{"headers": map[string]string{"CF-Access-Client-Id": "z"}})},
		"negative retries":          {config: with(block{"retries": -1}), severity: tfprotov6.DiagnosticSeverityError, summary: "Invalid number of retries"},
		"more retries than 32 bits": {config: with(block{"retries": int64(1 << 32)}), severity: tfprotov6.DiagnosticSeverityError, summary: "Invalid number of retries"},
		"half a retry":              {config: with(block{"retries": 0.5}), severity: tfprotov6.DiagnosticSeverityError, summary: "Invalid number of retries", detail: "between 0 and 100"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := configure(t, c.config, c.env)
			if c.summary == "" {
				if len(got) != 0 {
					t.Errorf("got %s: %s", got[0].Summary, got[0].Detail)
				}
				return
			}
			i := slices.IndexFunc(got, func(d *tfprotov6.Diagnostic) bool { return d.Summary == c.summary })
			if i < 0 || got[i].Severity != c.severity || !strings.Contains(got[i].Detail, c.detail) || got[i].Attribute == nil {
				t.Fatalf("got %+v, want %q", got, c.summary)
			}
			for _, d := range got {
				if strings.Contains(d.Summary+d.Detail, secret) || strings.Contains(d.Detail, "MC4CAQ") {
					t.Errorf("a secret is in the diagnostic: %s", d.Summary)
				}
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	null := tftypes.NewValue(tftypes.String, nil)
	for name, c := range map[string]struct {
		config  block
		summary string
		detail  string
	}{
		"nothing":                {config: block{}},
		"most retries":           {config: block{"retries": 100}},
		"unknown retries":        {config: block{"retries": tftypes.UnknownValue}},
		"too many retries":       {block{"retries": 101}, "Invalid Attribute Value", "must be a whole number between 0 and 100, got: 101"},
		"half a retry":           {block{"retries": 0.5}, "Invalid Attribute Value", "got: 0.5"},
		"retries of 64 bits":     {block{"retries": 1e19}, "Invalid Attribute Value", "between 0 and 100"},
		"a null header":          {block{"headers": tftypes.NewValue(tftypes.Map{ElementType: tftypes.String}, map[string]tftypes.Value{"X-Proxy": null})}, "Null Map Value", ""},
		"a null group":           {block{"prefetch_groups": tftypes.NewValue(tftypes.List{ElementType: tftypes.String}, []tftypes.Value{null})}, "Null List Value", ""},
		"a group without a name": {block{"prefetch_groups": []tftypes.Value{tftypes.NewValue(tftypes.String, "")}}, "Invalid Attribute Value Match", "full path of a group"},
		"no file":                {block{"cacert_file": ""}, "Invalid Attribute Value Length", "at least 1"},
		"no certificate file":    {block{"client_cert": ""}, "Invalid Attribute Value Length", "at least 1"},
		"no key file":            {block{"client_key": ""}, "Invalid Attribute Value Length", "at least 1"},
	} {
		got := validate(t, c.config)
		if c.summary == "" {
			if len(got) != 0 {
				t.Errorf("%s: got %s: %s", name, got[0].Summary, got[0].Detail)
			}
			continue
		}
		if len(got) != 1 || got[0].Summary != c.summary || !strings.Contains(got[0].Detail, c.detail) || got[0].Attribute == nil {
			t.Errorf("%s: got %+v, want %q", name, got, c.summary)
		}
	}
}

func TestConfigure_makesARequestOnlyIfAsked(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t)
	p := g.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	token := g.CreateAccessToken(g.Maintainer(p), "api")

	configure(t, block{"base_url": g.URL, "token": token}, nil)
	if log := g.Requests(); len(log) != 0 {
		t.Errorf("requests without early_auth_check: %v", log)
	}
	if got := configure(t, block{"base_url": g.URL, "token": token, "early_auth_check": true}, nil); len(got) != 0 {
		t.Errorf("got %+v", got[0])
	}
	got := configure(t, block{"base_url": g.URL, "token": "glpat-wrong", "early_auth_check": true}, nil)
	if len(got) != 1 || !strings.Contains(got[0].Detail, "401 Unauthorized") || g.CountRequests("GET /user") != 2 {
		t.Errorf("got %+v", got)
	}
	g.Inject(gitlabtest.Fault{Status: 200, Body: "<html>Sign in</html>"})
	if got := configure(t, block{"base_url": g.URL, "token": token, "early_auth_check": true}, nil); len(got) != 1 {
		t.Error("a sign-in page passed for a user")
	}
}
