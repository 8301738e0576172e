package registrycredentials_test

import (
	"archive/zip"
	"fmt"
	"io"
	"strings"
	"testing"
)

// unzipped is what is in a saved plan; empty if the file is none.
func unzipped(t *testing.T, file string) string {
	t.Helper()
	archive, err := zip.OpenReader(file)
	if err != nil {
		return ""
	}
	defer func() { _ = archive.Close() }()
	var all strings.Builder
	for _, entry := range archive.File {
		content, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&all, content); err != nil {
			t.Fatal(err)
		}
		_ = content.Close()
	}
	return all.String()
}

// configuration has a value that is known after its apply only, as the credentials of a
// new registry access are, and a consumer that writes a file, because local-exec takes
// ephemeral values in its environment.
func configuration(optional string) string {
	if optional != "" {
		optional = "identity_optional = " + optional
	}
	return fmt.Sprintf(`
terraform {
  required_providers {
    autodevops = { source = "autodevops/autodevops" }
  }
}
variable "sealed" { type = string }
resource "terraform_data" "sealed" {
  input = var.sealed
}
ephemeral "autodevops_registry_credentials" "shop" {
  sealed = terraform_data.sealed.output
  %s
}
resource "terraform_data" "secret" {
  triggers_replace = sha256(terraform_data.sealed.output)
  provisioner "local-exec" {
    command = "printf '%%s|%%s|%%s' \"$THE_USERNAME\" \"$THE_TOKEN\" \"$THE_CONFIG\" >written"
    environment = {
      THE_USERNAME = ephemeral.autodevops_registry_credentials.shop.username
      THE_TOKEN    = ephemeral.autodevops_registry_credentials.shop.token
      THE_CONFIG   = ephemeral.autodevops_registry_credentials.shop.docker_config_json
    }
  }
}
`, optional)
}

// fixture is a workspace with sealed credentials.
type fixture struct {
	*workspace

	own      key
	identity []string
	token    string
}

func newFixture(t *testing.T, optional string) *fixture {
	t.Helper()
	t.Parallel()
	f := &fixture{workspace: newWorkspace(t), own: newKey(t)}
	f.identity = []string{"AUTODEVOPS_SEAL_IDENTITY=" + f.own.secret}
	f.write("main.tf", configuration(optional))
	f.publish("gldt-first-0123456789abcd")
	return f
}

// publish makes the configuration hold another sealed token.
func (f *fixture) publish(token string) {
	f.Helper()
	f.token = token
	f.write("terraform.tfvars", fmt.Sprintf("sealed = <<EOT\n%sEOT\n", f.own.seal(f.T, published(token))))
}

// written is what the consumer must have.
func (f *fixture) written() string {
	c := published(f.token)
	return c.Username + "|" + f.token + "|" + c.DockerConfigJSON.Reveal()
}

// secrets are everything that must be nowhere.
func (f *fixture) secrets(tokens ...string) []string {
	return append(tokens, f.token, f.own.secret[16:])
}

// opened reports whether a command has opened the credentials.
func opened(r result) bool { return strings.Contains(r.log, "registry credentials: opened") }

// TestAccOpen_life: what is unknown is opened in the apply, a steady plan opens it and
// shows no change, and a saved plan works. No secret is anywhere but with the consumer.
func TestAccOpen_life(t *testing.T) {
	f := newFixture(t, "")

	// Nothing is opened in this plan, so it needs no identity.
	plan := f.run(nil, "plan", "-input=false", "-out=plan.bin")
	f.must(0, plan, "2 to add")
	if opened(plan) {
		t.Error("an unknown value was opened")
	}
	f.run(nil, "show", "-json", "plan.bin")
	f.must(1, f.run(nil, "apply", "-input=false", "plan.bin"), "Cannot open the sealed credentials without an identity")
	if f.read("written") != "" {
		t.Error("the consumer got something without the identity")
	}
	f.must(0, f.run(f.identity, "apply", "-input=false", "-auto-approve"))
	if f.read("written") != f.written() {
		t.Error("the consumer did not get the credentials")
	}

	steady := f.run(f.identity, "plan", "-input=false", "-detailed-exitcode")
	f.must(0, steady, "No changes.")
	if !opened(steady) {
		t.Error("a steady plan did not open the credentials")
	}

	first := f.token
	f.publish("gldt-second-0123456789abc")
	f.must(2, f.run(f.identity, "plan", "-input=false", "-detailed-exitcode", "-out=plan.bin"))
	f.run(f.identity, "show", "plan.bin")
	f.run(f.identity, "show", "-json", "plan.bin")
	f.must(0, f.run(f.identity, "apply", "-input=false", "plan.bin"))
	if f.read("written") != f.written() {
		t.Error("the consumer did not get the second credentials")
	}
	f.must(0, f.run(f.identity, "plan", "-input=false", "-detailed-exitcode"), "No changes.")
	f.run(f.identity, "show", "-json")
	f.must(0, f.run(f.identity, "destroy", "-input=false", "-auto-approve"))
	f.holdsNo(f.secrets(first)...)
}

// TestAccOpen_withoutIdentity: it is an error in plan and apply, and the consumer keeps
// what it has.
func TestAccOpen_withoutIdentity(t *testing.T) {
	f := newFixture(t, "")
	f.must(0, f.run(f.identity, "apply", "-input=false", "-auto-approve"))
	before := f.read("written")
	const says = "Cannot open the sealed credentials without an identity"

	f.must(1, f.run(nil, "plan", "-input=false"), says, "AUTODEVOPS_SEAL_IDENTITY_FILE")
	f.must(1, f.run(nil, "apply", "-input=false", "-auto-approve"), says)
	stranger := []string{"AUTODEVOPS_SEAL_IDENTITY=" + newKey(t).secret}
	f.must(1, f.run(stranger, "plan", "-input=false"), "it was sealed for other recipients")

	f.publish("gldt-second-0123456789abc")
	f.must(0, f.run(f.identity, "plan", "-input=false", "-out=plan.bin"))
	f.must(1, f.run(nil, "apply", "-input=false", "plan.bin"), says)
	if f.read("written") != before {
		t.Error("the consumer was changed by a failed apply")
	}
}

// TestAccOpen_identityOptional: with !terraform.applying a plan works without the
// identity, and an apply does not.
func TestAccOpen_identityOptional(t *testing.T) {
	f := newFixture(t, "!terraform.applying")
	f.must(0, f.run(f.identity, "apply", "-input=false", "-auto-approve"))
	before := f.read("written")

	const warning = "Sealed credentials are not opened without an identity"
	plan := f.run(nil, "plan", "-input=false", "-detailed-exitcode")
	f.must(0, plan, warning, "No changes.")
	if opened(plan) {
		t.Error("opened without an identity")
	}
	f.must(1, f.run(nil, "apply", "-input=false", "-auto-approve", "-replace=terraform_data.secret"), warning, "Cannot open the sealed credentials without an identity")
	if f.read("written") != before {
		t.Error("the consumer was changed by a failed apply")
	}

	// A plan is made without the identity, and applied with it.
	f.must(0, f.run(nil, "plan", "-input=false", "-replace=terraform_data.secret", "-out=plan.bin"), warning)
	f.write("written", "")
	f.must(0, f.run(f.identity, "apply", "-input=false", "plan.bin"))
	if f.read("written") != f.written() {
		t.Error("the consumer did not get the credentials")
	}
	f.holdsNo(f.secrets()...)
}

// TestAccOpen_identityFromConfiguration: an identity that the configuration makes known
// only in the apply lets the plan work. It can be ephemeral, so that no plan holds it.
func TestAccOpen_identityFromConfiguration(t *testing.T) {
	f := newFixture(t, "")
	f.write("provider.tf", `
resource "terraform_data" "path" {
  input = "key.txt"
}
provider "autodevops" {
  seal_identity_file = terraform_data.path.output
}
`)
	f.write("key.txt", "# public key: "+f.own.public+"\n"+f.own.secret+"\n")
	// With a known value to open, and the name of the file unknown.
	f.write("main.tf", strings.ReplaceAll(configuration(""), "terraform_data.sealed.output", "var.sealed"))
	f.must(0, f.run(nil, "plan", "-input=false", "-out=plan.bin"), "Sealed credentials are not opened in this plan")
	f.must(0, f.run(nil, "apply", "-input=false", "plan.bin"))
	if f.read("written") != f.written() {
		t.Error("the consumer did not get the credentials")
	}

	f.write("provider.tf", `
variable "identity" {
  type      = string
  ephemeral = true
}
provider "autodevops" {
  seal_identity = var.identity
}
`)
	f.must(0, f.run([]string{"TF_VAR_identity=" + f.own.secret}, "apply", "-input=false", "-auto-approve", "-replace=terraform_data.secret"))
	f.must(1, f.run([]string{"TF_VAR_identity=" + f.own.secret[:50]}, "plan", "-input=false"), "Malformed seal identity")
	f.holdsNo(append(f.secrets(), f.own.secret[16:50])...)
}
