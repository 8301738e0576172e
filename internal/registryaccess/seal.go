package registryaccess

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

// nothing is what is published without a token.
var nothing = seal.Credentials{DockerConfigJSON: access.EmptyDockerConfig}

// sealed are the values that an outcome publishes if it seals: one for the current token,
// one for none. Two sealings of the same credentials differ, so each is made once in an
// apply, and what a state holds already is never sealed again.
type sealed struct{ token, nothing types.String }

// notSealedYet is what a plan knows of them.
func notSealedYet() sealed { return sealed{types.StringUnknown(), types.StringUnknown()} }

func sealType() map[string]attr.Type { return resourceCodec().attributeTypes("seal") }

// seals reports whether the credentials are published sealed.
func (m model) seals() bool { return !m.Seal.IsNull() }

// ageRecipients lists the recipients, in order; none without seal.
func (m model) ageRecipients() []string {
	set, _ := m.Seal.Attributes()["age_recipients"].(types.Set)
	var recipients []string
	for _, element := range set.Elements() {
		if recipient, ok := element.(types.String); ok {
			recipients = append(recipients, recipient.ValueString())
		}
	}
	slices.Sort(recipients)
	return recipients
}

// secretKnown reports whether the state has the secret of the current token. The revision
// tells what is sealed from the empty docker config, as an import leaves it.
func (m model) secretKnown() bool {
	if m.SealedCredentials.IsNull() {
		return !m.Token.IsNull()
	}
	return m.Revision.ValueInt64() != access.DockerConfigRevision(access.EmptyDockerConfig)
}

// sealChange says why the credentials of the current token cannot stay as they are.
func sealChange(plan, state model, mintedWith tokenArguments) access.SealChange {
	isSealed := !state.SealedCredentials.IsNull()
	switch {
	case !plan.seals() && isSealed:
		return access.SealOff
	case !plan.seals():
		return access.SealStays
	case !isSealed || len(mintedWith.AgeRecipients) == 0:
		return access.SealOn
	case !slices.Equal(plan.ageRecipients(), mintedWith.AgeRecipients):
		return access.SealRecipients
	case mintedWith.Registry != "" && !state.Registry.IsNull() && state.Registry.ValueString() != mintedWith.Registry:
		return access.SealRegistry
	}
	return access.SealStays
}

// credentialsOf are the credentials of a fresh token.
func credentialsOf(registry string, t gitlab.Minted) seal.Credentials {
	return seal.Credentials{
		Username: t.Username, Token: t.Secret,
		DockerConfigJSON: access.Secret(access.DockerConfig(registry, t.Username, t.Secret)),
	}
}

// keptCredentials are those of a token that stays, rendered for its registry, whose host
// may have changed; false if the state does not have them in the clear. The username is the
// one in the docker config: the argument may already be another one.
func (a assessment) keptCredentials(state model) (seal.Credentials, bool) {
	if state.Token.IsNull() {
		return seal.Credentials{}, false
	}
	config := state.DockerConfigJSON.ValueString()
	c := seal.Credentials{
		Username: access.DockerConfigUsername(config), Token: access.Secret(state.Token.ValueString()), DockerConfigJSON: access.Secret(config),
	}
	if a.decision.Action != access.ActionHold && !state.Registry.IsNull() {
		c.DockerConfigJSON = access.Secret(access.DockerConfig(state.Registry.ValueString(), c.Username, c.Token))
	}
	return c, true
}

// publish hands out credentials, in the clear or sealed.
func (m *model) publish(c seal.Credentials, sealed types.String) {
	m.Revision = types.Int64Value(access.DockerConfigRevision(c.DockerConfigJSON.Reveal()))
	m.Token, m.DockerConfigJSON, m.SealedCredentials = stringValue(c.Token.Reveal()), types.StringValue(c.DockerConfigJSON.Reveal()), types.StringNull()
	if m.seals() {
		m.Token, m.DockerConfigJSON, m.SealedCredentials = types.StringNull(), types.StringNull(), sealed
	}
}

// publishLater is publish in a plan that does not know the credentials.
func (m *model) publishLater() {
	m.publish(nothing, types.StringUnknown())
	m.Revision = types.Int64Unknown()
	if !m.seals() {
		m.Token, m.DockerConfigJSON = types.StringUnknown(), types.StringUnknown()
	}
}

// publishNothing publishes that there are no credentials. If that is sealed for the same
// recipients already, it stays as it is.
func (m *model) publishNothing(state model, s sealed) {
	if state.secretKnown() || state.SealedCredentials.IsNull() || !m.Seal.Equal(state.Seal) {
		m.publish(nothing, s.nothing)
	}
}

// keepCredentials publishes those of a token that stays. What the state holds in the clear
// is sealed if it shall be; what is sealed stays so, because only a recipient can open it.
func (a assessment) keepCredentials(m *model, state model, s sealed) {
	if c, ok := a.keptCredentials(state); ok {
		m.publish(c, s.token)
	} else if !state.secretKnown() {
		m.publishNothing(state, s) // imported
	}
}

// warnSealKeys warns before credentials are sealed that the provider's identities cannot
// open. That is no error: another configuration may be the one that opens them.
func warnSealKeys(diags *diag.Diagnostics, project string, plan model, a assessment, keys []string) {
	recipients := plan.ageRecipients()
	isRecipient := func(key string) bool { return slices.Contains(recipients, key) }
	if !plan.seals() || !a.decision.Action.Effect().Mints || len(keys) == 0 || slices.ContainsFunc(keys, isRecipient) {
		return
	}
	diags.AddAttributeWarning(path.Root("seal"), "Seal identity matches no recipient of "+project, fmt.Sprintf(
		"The provider has a seal identity, and it belongs to none of seal.age_recipients. The new credentials of %s cannot be opened with it, so an autodevops_registry_credentials "+
			"of this configuration fails after the new token is minted. Add the identity's public key (age-keygen -y) to age_recipients, or use another identity.", project))
}

// prepareSeals makes everything that this apply may publish sealed, but for the
// credentials of a fresh token. It runs before anything is minted, so that recipients
// which cannot be used cost nothing.
func (u *apply) prepareSeals(a assessment) error {
	if !u.plan.seals() {
		return nil
	}
	var err error
	if u.recipients, err = seal.ParseRecipients(u.plan.ageRecipients()); err != nil {
		return err
	}
	empty, err := u.recipients.Seal(nothing)
	u.sealed.nothing = types.StringValue(empty)
	if c, ok := a.keptCredentials(u.prior); ok && err == nil {
		var kept string
		kept, err = u.recipients.Seal(c)
		u.sealed.token = types.StringValue(kept)
	}
	return err
}

// sealMinted seals the credentials of a fresh token as soon as it is proven.
func (u *apply) sealMinted(m model, minted gitlab.Minted) error {
	if !u.plan.seals() {
		return nil
	}
	text, err := u.recipients.Seal(credentialsOf(m.Registry.ValueString(), minted))
	if err != nil {
		return errors.New("the credentials could not be sealed")
	}
	u.sealed.token = types.StringValue(text)
	return nil
}
