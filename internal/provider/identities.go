package provider

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"

	"github.com/autodevops/terraform-provider-autodevops/internal/registrycredentials"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

// The environment variables for the identities.
const (
	envSealIdentity     = "AUTODEVOPS_SEAL_IDENTITY"
	envSealIdentityFile = "AUTODEVOPS_SEAL_IDENTITY_FILE"
)

func sealIdentityAttribute() schema.Attribute {
	return schema.StringAttribute{Optional: true, Sensitive: true,
		MarkdownDescription: "The age identity (`AGE-SECRET-KEY-1...`) with which `autodevops_registry_credentials` opens sealed credentials. " +
			"Several are possible, one a line, with comments as `age-keygen` writes them. Resources do not need it. " +
			"Default: `" + envSealIdentity + "`, unless `seal_identity_file` is set."}
}

func sealIdentityFileAttribute() schema.Attribute {
	return schema.StringAttribute{Optional: true,
		MarkdownDescription: "A file with age identities, as `age-keygen` writes it. With `seal_identity`, the identities of both are tried. " +
			"Default: `" + envSealIdentityFile + "`, unless `seal_identity` is set."}
}

// sealIdentities reads the identities: those of the configuration or, without any, those
// of the environment.
func (p *Provider) sealIdentities(c configuration, diags *diag.Diagnostics) registrycredentials.ProviderData {
	if c.SealIdentity.IsUnknown() || c.SealIdentityFile.IsUnknown() {
		return registrycredentials.ProviderData{Unknown: true}
	}
	text, textSource := c.SealIdentity.ValueString(), "seal_identity"
	file, fileSource := c.SealIdentityFile.ValueString(), "seal_identity_file"
	if text == "" && file == "" {
		text, textSource = p.getenv(envSealIdentity), envSealIdentity
		file, fileSource = p.getenv(envSealIdentityFile), envSealIdentityFile
	}
	var identities seal.Identities
	if text != "" {
		identities = append(identities, parseIdentities(text, textSource, diags)...)
	}
	if file != "" {
		if content, ok := readIdentityFile(file, fileSource, diags); ok {
			identities = append(identities, parseIdentities(content, fileSource, diags)...)
		}
	}
	return registrycredentials.ProviderData{Identities: identities}
}

// parseIdentities points to no attribute: the CLI shows the line of the configuration,
// and the key may stand in it.
func parseIdentities(text, source string, diags *diag.Diagnostics) seal.Identities {
	identities, err := seal.ParseIdentities(text)
	if err != nil {
		diags.AddError("Malformed seal identity", source+" cannot be used: "+err.Error()+".")
	}
	return identities
}

// readIdentityFile reads a file of identities. No error repeats what may be a key itself.
func readIdentityFile(name, source string, diags *diag.Diagnostics) (content string, ok bool) {
	const summary = "Cannot read the seal identity file"
	if seal.LooksLikeIdentity(name) {
		diags.AddError(summary, source+" must be the name of a file, not its content.")
		return "", false
	}
	raw, err := os.ReadFile(name) //nolint:gosec // the user names the file
	if err == nil {
		return string(raw), true
	}
	reason := err
	if failure, isPath := errors.AsType[*os.PathError](err); isPath {
		reason = failure.Err
	}
	diags.AddAttributeError(path.Root("seal_identity_file"), summary, fmt.Sprintf("%s names %s: %v.", source, name, reason))
	return "", false
}
