package seal

import (
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Identities are the secret keys that open sealed values. They print as a placeholder.
type Identities []*age.X25519Identity

// The beginnings of what people keep where identities are expected.
const (
	identityPrefix   = "AGE-SECRET-KEY-1"
	pqIdentityPrefix = "AGE-SECRET-KEY-PQ-1"
	pluginPrefix     = "AGE-PLUGIN-"
	binaryAgePrefix  = "age-encryption.org/"
)

// String hides the keys from every verb that prints values.
func (i Identities) String() string { return fmt.Sprintf("(%d secret keys)", len(i)) }

// GoString hides the keys from %#v as well.
func (i Identities) GoString() string { return i.String() }

// Secrets are the texts that no message may contain: the keys without the prefix that
// all of them have.
func (i Identities) Secrets() []string {
	secrets := make([]string, 0, len(i))
	for _, identity := range i {
		secrets = append(secrets, strings.TrimPrefix(identity.String(), identityPrefix))
	}
	return secrets
}

// Recipients are the public keys of the identities, in the same order.
func (i Identities) Recipients() []string {
	keys := make([]string, 0, len(i))
	for _, identity := range i {
		keys = append(keys, identity.Recipient().String())
	}
	return keys
}

// ParseIdentities reads secret keys as age-keygen writes them: one a line, between empty
// lines and comments that begin with #. No error repeats a part of the text.
func ParseIdentities(text string) (Identities, error) {
	text = strings.TrimPrefix(text, "\ufeff") // some editors of Windows write a byte order mark
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasPrefix(trimmed, armor.Header), strings.HasPrefix(trimmed, binaryAgePrefix):
		return nil, fmt.Errorf("the identities are encrypted; expected the output of age --decrypt")
	case strings.Contains(trimmed, "-----BEGIN "):
		return nil, fmt.Errorf("it is a PEM file, as SSH uses them; expected %s... lines, as age-keygen writes them", identityPrefix)
	}
	var identities Identities
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		identity, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, fmt.Errorf("line %d %s; expected %s..., as age-keygen writes it", n, describeIdentity(line), identityPrefix)
		}
		identities = append(identities, identity)
	}
	if len(identities) == 0 {
		return nil, fmt.Errorf("there is no identity in it; expected %s... lines, as age-keygen writes them", identityPrefix)
	}
	return identities, nil
}

// describeIdentity says what a line is that is no X25519 identity.
func describeIdentity(line string) string {
	switch upper := strings.ToUpper(line); {
	case strings.HasPrefix(upper, pqIdentityPrefix):
		return "is a post-quantum identity"
	case strings.HasPrefix(upper, pluginPrefix):
		return "belongs to a plugin of age"
	case publicKey.MatchString(line):
		return "is a public key, not the secret one"
	case strings.HasPrefix(upper, identityPrefix):
		return "is not a valid key: check how it was copied"
	}
	return "is not an age identity"
}

// looksLikeIdentity reports whether a text holds a secret key of age.
func looksLikeIdentity(text string) bool {
	upper := strings.ToUpper(text)
	return strings.Contains(upper, "AGE-SECRET-KEY-") || strings.Contains(upper, pluginPrefix)
}

// LooksLikeIdentity reports whether a text that should name a file holds a secret key.
func LooksLikeIdentity(text string) bool {
	return looksLikeIdentity(text) || strings.Contains(text, "-----BEGIN ") || strings.ContainsAny(text, "\r\n")
}
