package provider

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"golang.org/x/net/http/httpguts"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

const defaultBaseURL = "https://gitlab.com"

// mostRetries is far beyond what a request's time allows.
const mostRetries = 100

// jobTokenPrefix is how GitLab marks CI/CD job tokens.
const jobTokenPrefix = "glcbt-"

func environment(name string) string { return os.Getenv(name) }

// configuration is the provider block.
type configuration struct {
	BaseURL        types.String `tfsdk:"base_url"`
	Token          types.String `tfsdk:"token"`
	CACertFile     types.String `tfsdk:"cacert_file"`
	ClientCert     types.String `tfsdk:"client_cert"`
	ClientKey      types.String `tfsdk:"client_key"`
	Insecure       types.Bool   `tfsdk:"insecure"`
	Headers        types.Map    `tfsdk:"headers"`
	TokenHeader    types.String `tfsdk:"token_header"`
	Retries        types.Number `tfsdk:"retries"`
	EarlyAuthCheck types.Bool   `tfsdk:"early_auth_check"`
	PrefetchGroups types.List   `tfsdk:"prefetch_groups"`

	SealIdentity     types.String `tfsdk:"seal_identity"`
	SealIdentityFile types.String `tfsdk:"seal_identity_file"`
}

// unknown reports whether any part that GitLab is asked with depends on something that
// does not exist yet.
func (c configuration) unknown() bool {
	values := []attr.Value{
		c.BaseURL, c.Token, c.CACertFile, c.ClientCert, c.ClientKey, c.Insecure, c.Headers, c.TokenHeader, c.Retries, c.EarlyAuthCheck, c.PrefetchGroups,
	}
	values = append(values, c.PrefetchGroups.Elements()...)
	for _, header := range c.Headers.Elements() {
		values = append(values, header)
	}
	return slices.ContainsFunc(values, attr.Value.IsUnknown)
}

// resolve fills the gaps from the environment and reports what is missing or wrong.
func (p *Provider) resolve(ctx context.Context, c configuration, diags *diag.Diagnostics) gitlab.Options {
	options := gitlab.Options{
		BaseURL: p.baseURL(c, diags),
		Token:   p.token(c, diags),
		Retries: gitlab.DefaultRetries,
	}
	if !c.Retries.IsNull() {
		retries, accuracy := c.Retries.ValueBigFloat().Int64()
		if accuracy != big.Exact || retries < 0 || retries > mostRetries {
			diags.AddAttributeError(path.Root("retries"), "Invalid number of retries", fmt.Sprintf("retries must be a whole number between 0 and %d.", mostRetries))
		}
		options.Retries = int(retries)
	}
	if !c.Headers.IsNull() {
		diags.Append(c.Headers.ElementsAs(ctx, &options.Headers, false)...)
		checkHeaders(options.Headers, diags)
	}
	options.TokenHeader = tokenHeader(c, options.Headers, diags)

	if !c.PrefetchGroups.IsNull() {
		diags.Append(c.PrefetchGroups.ElementsAs(ctx, &options.PrefetchGroups, false)...)
	}

	ca := readPEM(c.CACertFile, "cacert_file", diags)
	certificate := readPEM(c.ClientCert, "client_cert", diags)
	key := readPEM(c.ClientKey, "client_key", diags)
	if c.ClientCert.IsNull() != c.ClientKey.IsNull() {
		diags.AddAttributeError(path.Root("client_cert"), "Incomplete client certificate", "client_cert and client_key must be set together.")
	}
	if diags.HasError() {
		return options
	}
	config, err := gitlab.TLSConfig(ca, certificate, key, c.Insecure.ValueBool())
	if err != nil {
		attribute := "cacert_file"
		if strings.Contains(err.Error(), "client certificate") {
			attribute = "client_cert"
		}
		diags.AddAttributeError(path.Root(attribute), "Cannot use the certificates", err.Error()+".")
	}
	options.TLS = config
	return options
}

func (p *Provider) baseURL(c configuration, diags *diag.Diagnostics) string {
	raw, source := c.BaseURL.ValueString(), "base_url"
	if raw == "" {
		raw, source = p.getenv("GITLAB_BASE_URL"), "GITLAB_BASE_URL"
	}
	if raw == "" {
		raw, source = p.getenv("CI_API_V4_URL"), "CI_API_V4_URL"
	}
	if raw == "" {
		raw = defaultBaseURL
	}
	parsed, err := gitlab.ParseBaseURL(raw)
	if err != nil {
		diags.AddAttributeError(path.Root("base_url"), "Malformed base URL", fmt.Sprintf(
			"%s is no usable URL of a GitLab instance: %v.\n\nIt looks like https://gitlab.example.com, with or without /api/v4.", source, err))
		return raw
	}
	if parsed.Scheme == "http" && !gitlab.Loopback(parsed) {
		diags.AddAttributeWarning(path.Root("base_url"), "Credentials go over plain HTTP", fmt.Sprintf(
			"%s uses http://, so the token and every secret can be read on the way to %s. Use https://.", source, parsed.Host))
	}
	return raw
}

func (p *Provider) token(c configuration, diags *diag.Diagnostics) string {
	token, source := c.Token.ValueString(), "token"
	if token == "" {
		token, source = p.getenv("GITLAB_TOKEN"), "GITLAB_TOKEN"
	}
	const wanted = "Set token or GITLAB_TOKEN to a personal, project or group access token with the scope api, whose user has the Maintainer role."
	switch {
	case token == "" && p.getenv("CI_JOB_TOKEN") != "":
		diags.AddAttributeError(path.Root("token"), "A job token is not enough",
			"Only CI_JOB_TOKEN is set, and a CI/CD job token cannot manage deploy tokens.\n\n"+wanted+" In a pipeline, keep it in a masked variable.")
	case token == "":
		diags.AddAttributeError(path.Root("token"), "Missing token", "Neither token nor GITLAB_TOKEN is set.\n\n"+wanted)
	case strings.HasPrefix(token, jobTokenPrefix) || token == p.getenv("CI_JOB_TOKEN"):
		diags.AddAttributeError(path.Root("token"), "A job token is not enough",
			source+" is a CI/CD job token, and such a token cannot manage deploy tokens.\n\n"+wanted)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		diags.AddAttributeError(path.Root("token"), "Malformed token", source+" contains white space or control characters. Check how it was copied or read from a file.")
	}
	return token
}

func readPEM(file types.String, attribute string, diags *diag.Diagnostics) []byte {
	if file.IsNull() {
		return nil
	}
	const summary = "Cannot read "
	name := file.ValueString()
	if strings.Contains(name, "-----BEGIN") || strings.ContainsAny(name, "\r\n") {
		// Nothing of the value is repeated here: it may be a private key.
		diags.AddAttributeError(path.Root(attribute), summary+attribute, attribute+" must be the name of a file, not its content.")
		return nil
	}
	content, err := os.ReadFile(name) //nolint:gosec // the user names the file
	var failure *os.PathError
	switch {
	case errors.As(err, &failure):
		diags.AddAttributeError(path.Root(attribute), summary+attribute, fmt.Sprintf("%s: %v.", name, failure.Err))
	case err != nil:
		diags.AddAttributeError(path.Root(attribute), summary+attribute, err.Error()+".")
	case len(content) == 0:
		diags.AddAttributeError(path.Root(attribute), summary+attribute, name+" is empty.")
	}
	return content
}

// tokenHeader is the header for the provider's token. A proxy that wants the Authorization
// header for itself leaves PRIVATE-TOKEN.
func tokenHeader(c configuration, headers map[string]string, diags *diag.Diagnostics) string {
	chosen := c.TokenHeader.ValueString()
	forProxy := false
	for name := range headers {
		forProxy = forProxy || http.CanonicalHeaderKey(name) == gitlab.HeaderAuthorization
	}
	switch {
	case forProxy && strings.EqualFold(chosen, gitlab.HeaderAuthorization):
		diags.AddAttributeError(path.Root("token_header"), "Header is used twice",
			"headers sets Authorization for something in front of GitLab, so the token needs token_header = \"PRIVATE-TOKEN\".")
	case forProxy, strings.EqualFold(chosen, gitlab.HeaderPrivateToken):
		return gitlab.HeaderPrivateToken
	}
	return gitlab.HeaderAuthorization
}

// ownHeaders are set by the client itself, or would change what a request means.
var ownHeaders = []string{
	"Private-Token", "Job-Token", "Deploy-Token", "Host", "Content-Type", "Content-Length", "Accept",
	"Accept-Encoding", "User-Agent", "Idempotency-Key", "X-Idempotency-Key", "Connection", "Transfer-Encoding",
}

func checkHeaders(headers map[string]string, diags *diag.Diagnostics) {
	for name, value := range headers {
		at := path.Root("headers").AtMapKey(name)
		switch {
		case slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)):
			diags.AddAttributeError(at, "Header cannot be set", name+" is set by the provider itself.")
		case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			diags.AddAttributeError(at, "Malformed header", "A name or value in headers contains characters that HTTP does not allow.")
		}
	}
}
