package provider

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

const defaultBaseURL = "https://gitlab.com"

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
	Retries        types.Int64  `tfsdk:"retries"`
	EarlyAuthCheck types.Bool   `tfsdk:"early_auth_check"`
}

// unknown reports whether any part depends on something that does not exist yet.
func (c configuration) unknown() bool {
	values := []attr.Value{
		c.BaseURL, c.Token, c.CACertFile, c.ClientCert, c.ClientKey, c.Insecure, c.Headers, c.Retries, c.EarlyAuthCheck,
	}
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
		options.Retries = int(c.Retries.ValueInt64())
		if options.Retries < 0 || options.Retries > 100 {
			diags.AddAttributeError(path.Root("retries"), "Invalid number of retries", "retries must be between 0 and 100.")
		}
	}
	if !c.Headers.IsNull() {
		diags.Append(c.Headers.ElementsAs(ctx, &options.Headers, false)...)
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
	case strings.ContainsAny(token, " \t\r\n"):
		diags.AddAttributeError(path.Root("token"), "Malformed token", source+" contains white space. Check how it was copied or read from a file.")
	}
	return token
}

func readPEM(file types.String, attribute string, diags *diag.Diagnostics) []byte {
	if file.IsNull() {
		return nil
	}
	content, err := os.ReadFile(file.ValueString())
	if err != nil {
		diags.AddAttributeError(path.Root(attribute), "Cannot read "+attribute, err.Error()+".")
	}
	return content
}
