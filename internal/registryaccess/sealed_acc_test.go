package registryaccess_test

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// requireEphemeral skips on a CLI that knows no ephemeral resources.
func requireEphemeral(t *testing.T) {
	t.Helper()
	if version := cliVersion(t); !regexp.MustCompile(`v1\.(1[1-9]|[2-9]\d)\.`).MatchString(version) {
		t.Skipf("%s knows no ephemeral resources", version)
	}
}

// applySealed plans, shows the plan in both forms and applies it. The consumer takes the
// credentials as a write-only argument would. Unlike apply it also keeps what JSON says of
// sensitive values.
func (w *workspace) applySealed(arguments string) {
	w.Helper()
	w.write("main.tf", `
terraform {
  required_providers {
    autodevops = { source = "autodevops/autodevops" }
  }
}
resource "autodevops_registry_access" "shop" {
  project = "acme/shop"
  `+arguments+`
}
output "everything" {
  value     = autodevops_registry_access.shop
  sensitive = true
}
ephemeral "autodevops_registry_credentials" "shop" {
  sealed            = autodevops_registry_access.shop.sealed_credentials
  identity_optional = !terraform.applying
}
resource "terraform_data" "secret" {
  triggers_replace = autodevops_registry_access.shop.docker_config_revision
  provisioner "local-exec" {
    command     = "printf '%s' \"$CONFIG\" >secret"
    environment = { CONFIG = ephemeral.autodevops_registry_credentials.shop.docker_config_json }
  }
}
`)
	w.command("plan", "-out=plan.bin")
	w.command("show", "plan.bin")
	w.said.Write(w.command("show", "-json", "plan.bin"))
	w.archive("plan.bin")
	w.command("apply", "-auto-approve", "plan.bin")
	w.said.Write(w.command("show", "-json"))
	w.said.Write(w.command("output", "-json"))
	for _, pattern := range []string{"terraform.tfstate*", "crash*.log"} {
		files, err := filepath.Glob(filepath.Join(w.dir, pattern))
		if err != nil {
			w.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				w.Fatal(err)
			}
			w.said.Write(content)
		}
	}
}

// archive adds what is in a saved plan to what was said.
func (w *workspace) archive(name string) {
	w.Helper()
	archive, err := zip.OpenReader(filepath.Join(w.dir, name))
	if err != nil {
		return // the plan failed
	}
	defer func() { _ = archive.Close() }()
	for _, entry := range archive.File {
		content, err := entry.Open()
		if err != nil {
			w.Fatal(err)
		}
		if _, err := io.Copy(&w.said, content); err != nil {
			w.Fatal(err)
		}
		_ = content.Close()
	}
}

// consumed is the docker config that the consumer holds; empty if there is none.
func (w *workspace) consumed() string {
	w.Helper()
	content, err := os.ReadFile(filepath.Join(w.dir, "secret"))
	if err != nil && !os.IsNotExist(err) {
		w.Fatal(err)
	}
	return string(content)
}

// secretPulls reports whether the consumer holds credentials that pull.
func (w *workspace) secretPulls() bool {
	w.Helper()
	username, password := credentials(w.consumed())
	return username != "" && w.gitlab.CanPull(w.project, username, password)
}

// steady wants a plan without a change.
func (w *workspace) steady() {
	w.Helper()
	if out := string(w.command("plan", "-no-color")); !strings.Contains(out, "No changes.") {
		w.Errorf("not steady:\n%s", lastLines(out))
	}
}

// TestAccSeal_noSecretInTheState runs a whole sealed life at TF_LOG=TRACE, failures
// included, and searches state, backup, saved plan, JSON and logs for every secret that
// GitLab ever issued, for the provider's token and for the identity.
func TestAccSeal_noSecretInTheState(t *testing.T) {
	s := newFixture(t, gitlabtest.WithClock(gitlabtest.NewClock(time.Now())))
	requireEphemeral(t)
	w := newWorkspace(s)
	w.environment = []string{"AUTODEVOPS_SEAL_IDENTITY=" + sealKeys()[0].secret}
	recipients := func(recipients ...int) string {
		var keys []string
		for _, i := range recipients {
			keys = append(keys, fmt.Sprintf("%q", sealKeys()[i].public))
		}
		return "seal = { age_recipients = [" + strings.Join(keys, ", ") + "] }\n"
	}
	sealed := recipients(0)

	w.applySealed(sealed)
	if !w.secretPulls() {
		t.Fatalf("the consumer cannot pull:\n%s", lastLines(w.said.String()))
	}
	w.steady()
	w.applySealed(sealed + `rotate_when_changed = { round = "1" }`)
	w.applySealed(recipients(0, 1) + `rotate_when_changed = { round = "1" }`)
	if !w.secretPulls() {
		t.Error("the consumer cannot pull after other recipients")
	}
	w.steady()
	for _, secret := range s.gitlab.Secrets() { // a proxy that echoes what it got
		s.gitlab.Inject(gitlabtest.Fault{Match: "GET /jwt/auth", Times: 3, Status: 401, Body: secret})
	}
	w.applySealed(sealed + `rotate_when_changed = { round = "2" }`)
	s.gitlab.ClearFaults()
	s.gitlab.Inject(gitlabtest.Fault{Match: postToken, Status: 502, Body: s.token, When: gitlabtest.After})
	w.applySealed(sealed + `rotate_when_changed = { round = "3" }`)
	s.gitlab.ClearFaults()
	if !w.secretPulls() {
		t.Error("the consumer cannot pull after failures")
	}
	s.gitlab.SetVisibility(s.project, "public")
	w.applySealed(sealed)
	w.steady()
	if w.consumed() != access.EmptyDockerConfig {
		t.Error("the consumer still has credentials")
	}
	s.gitlab.SetVisibility(s.project, "private")
	w.applySealed(sealed)
	if !w.secretPulls() {
		t.Error("the consumer cannot pull in the end")
	}
	w.command("destroy", "-auto-approve")

	issued := s.gitlab.Secrets()
	if len(issued) < 6 || len(s.gitlab.ActiveTokens(s.project)) != 0 {
		t.Fatalf("the life was not lived: %d secrets, %d left\n%s", len(issued), len(s.gitlab.ActiveTokens(s.project)), lastLines(w.said.String()))
	}
	text := w.said.String()
	for _, proof := range []string{"[TRACE]", "registry credentials: opened", "BEGIN AGE ENCRYPTED FILE"} {
		if !strings.Contains(text, proof) {
			t.Fatalf("%q is not in what is searched", proof)
		}
	}
	for _, secret := range append(issued, s.token, sealKeys()[0].secret[16:]) {
		for _, form := range formsOf(secret) {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("a secret is in the open after: %s", text[max(0, i-200):i])
			}
		}
	}
	t.Logf("searched %d bytes for %d secrets", len(text), len(issued)+2)
}

// TestAccSeal_secretKeyAsRecipient: who pastes the wrong half of a key pair reads what is
// wrong, and nobody reads the key: the CLI shows the line of an argument to blame.
func TestAccSeal_secretKeyAsRecipient(t *testing.T) {
	s := newFixture(t)
	w := newWorkspace(s)
	w.applySealed(fmt.Sprintf("seal = { age_recipients = [%q] }", sealKeys()[0].secret))
	text := w.said.String()
	if !strings.Contains(text, "Invalid recipients of sealed credentials") || !strings.Contains(text, "is a secret key of age") {
		t.Errorf("says %s", lastLines(text))
	}
	if strings.Contains(text, sealKeys()[0].secret[16:]) {
		t.Error("the key was printed")
	}
	if s.gitlab.CountRequests(postToken) != 0 {
		t.Error("a token was minted")
	}
}
