package registryaccess_test

import (
	"fmt"
	"strings"
	"sync"

	"filippo.io/age"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

// sealKey is a pair of age keys.
type sealKey struct{ secret, public string }

// sealKeys are the keys of three recipients.
var sealKeys = sync.OnceValue(func() (keys [3]sealKey) {
	for i := range keys {
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			panic(err)
		}
		keys[i] = sealKey{identity.String(), identity.Recipient().String()}
	}
	return keys
})

// sealedFor is the argument seal for some of the recipients.
func sealedFor(recipients ...int) arguments {
	var keys []string
	for _, i := range recipients {
		keys = append(keys, sealKeys()[i].public)
	}
	return arguments{"seal": arguments{"age_recipients": keys}}
}

// opened is what one recipient reads in the state.
func (d *driver) opened(recipient int) (seal.Credentials, error) {
	d.Helper()
	identities, err := seal.ParseIdentities(sealKeys()[recipient].secret)
	if err != nil {
		d.Fatal(err)
	}
	return identities.Open(d.text("sealed_credentials"))
}

// published is what the state publishes, sealed or not.
func (d *driver) published() seal.Credentials {
	d.Helper()
	if d.text("sealed_credentials") == "" {
		return seal.Credentials{Token: access.Secret(d.text("token")), DockerConfigJSON: access.Secret(d.text("docker_config_json"))}
	}
	for i := range sealKeys() {
		if c, err := d.opened(i); err == nil {
			return c
		}
	}
	d.Error("nobody can open the sealed credentials")
	return seal.Credentials{}
}

// sealedAsConfigured: after an apply with seal, no secret that GitLab has ever issued is in
// the state, in the private state or in what was said, and sealed_credentials is not null.
func (d *driver) sealedAsConfigured(config tftypes.Value) {
	d.Helper()
	if d.attributes(config)["seal"].IsNull() || d.state.IsNull() {
		return
	}
	if d.text("sealed_credentials") == "" {
		d.Error("sealed_credentials is null although the configuration seals")
	}
	everything := string(d.stateJSON()) + string(d.private) + fmt.Sprint(describe(d.last))
	for _, secret := range d.gitlab.Secrets() {
		for _, form := range formsOf(secret) {
			if strings.Contains(everything, form) {
				d.Errorf("a secret is in the state: %d bytes", len(everything))
			}
		}
	}
}

// sealedOperations are operations that seal, with the way there.
func sealedOperations() []operation {
	sealed := sealedFor(0, 1)
	created := func(d *driver) { d.mustApply(nil) }
	unsealed := func(d *driver) { d.mustApply(arguments{"seal": nil}) }
	return []operation{
		{name: "create sealed", base: sealed, prepare: func(*driver) {}},
		{name: "rotate sealed", base: sealed, prepare: func(d *driver) { created(d); d.gitlab.Clock.AdvanceDays(340) }},
		{name: "rotate sealed and revoke", base: sealed, args: round("2"), prepare: func(d *driver) {
			d.mustApply(round("0"))
			d.mustApply(round("1"))
			d.gitlab.Clock.AdvanceDays(7)
		}},
		{name: "rotate sealed without overlap", base: sealed, args: arguments{"rotation": arguments{"overlap_days": 0}}, prepare: func(d *driver) {
			created(d)
			d.gitlab.Clock.AdvanceDays(340)
		}},
		{name: "withdraw sealed", base: sealed, prepare: func(d *driver) { created(d); d.gitlab.SetVisibility(d.project, "public") }},
		{name: "end", base: sealed, prepare: func(d *driver) {
			created(d)
			d.gitlab.SetGroupAutoDevOps(d.group, gitlabtest.False)
			d.mustApply(nil)
			d.gitlab.Clock.AdvanceDays(7)
		}},
		{name: "take over sealed", base: sealed, prepare: func(d *driver) {
			d.gitlab.SaveAutoDevOps(d.project, gitlabtest.True)
			d.importState(fmt.Sprint("acme/shop:", d.gitlab.Tokens(d.project)[0].ID))
		}},
		{name: "seal", base: sealed, prepare: unsealed},
		{name: "unseal", base: sealed, args: arguments{"seal": nil}, prepare: created},
		{name: "seal for others", base: sealed, args: sealedFor(2), prepare: created},
		{name: "seal for another registry", base: sealed, prepare: func(d *driver) {
			created(d)
			d.gitlab.SetRegistryHost("registry.example.org:5050")
		}},
		{name: "destroy sealed", base: sealed, destroy: true, prepare: func(d *driver) {
			created(d)
			d.gitlab.Clock.AdvanceDays(340)
			d.mustApply(nil)
		}},
	}
}
