package seal

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"
)

// Recipients are the public keys of those who can open a sealed value.
type Recipients []*age.X25519Recipient

// RecipientError says why a recipient cannot be used.
type RecipientError struct {
	// Public: the recipient is certainly a public key. Anything else may be a secret
	// that was pasted by mistake, and must not be shown.
	Public bool
	text   string
}

func (e *RecipientError) Error() string { return e.text }

// publicKey is how the public keys of age and of its plugins look.
var publicKey = regexp.MustCompile(`^age1[a-z0-9]+$`)

// shown is how much of a public key an error repeats.
const shown = 16

// ParseRecipients reads public keys of the form age1... The error is a *RecipientError,
// and repeats nothing that may be a secret. Recipients without an error can be sealed for.
func ParseRecipients(keys []string) (Recipients, error) {
	if len(keys) == 0 {
		return nil, &RecipientError{Public: true, text: "there is no recipient"}
	}
	var recipients Recipients
	seen := map[string]bool{}
	for _, key := range keys {
		recipient, err := age.ParseX25519Recipient(key)
		if err != nil || !sealsFor(recipient) {
			return nil, describeRecipient(key)
		}
		if seen[recipient.String()] {
			return nil, &RecipientError{Public: true, text: fmt.Sprintf("the recipient %s is there twice", shorten(key))}
		}
		seen[recipient.String()] = true
		recipients = append(recipients, recipient)
	}
	return recipients, nil
}

// sealsFor tries a recipient: some keys are well formed and still refused by the
// encryption, as all zeros are.
func sealsFor(recipient *age.X25519Recipient) bool {
	_, err := age.Encrypt(io.Discard, recipient)
	return err == nil
}

// describeRecipient says what a text is that is no X25519 recipient.
func describeRecipient(key string) *RecipientError {
	const wanted = "; expected an age X25519 recipient, as age-keygen prints it: age1 and 58 more characters"
	public := publicKey.MatchString(key)
	what := "a recipient is not an age public key"
	switch {
	case key == "":
		public, what = true, "a recipient is empty"
	case looksLikeIdentity(key):
		what = "a recipient is a secret key of age. Treat that key as leaked if others can read this configuration"
	case strings.HasPrefix(key, "ssh-"), strings.HasPrefix(key, "ecdsa-sha2-"):
		what = "a recipient is an SSH key"
	case strings.HasPrefix(key, "age1pq1"):
		what = "a recipient is a post-quantum one"
	// The separator of Bech32 is the last digit 1, and the names of plugins stand before it.
	case public && strings.Count(key, "1") > 1:
		what = "the recipient " + shorten(key) + " belongs to a plugin of age"
	case public:
		what = "the recipient " + shorten(key) + " is not a valid key: check how it was copied"
	case !slices.ContainsFunc(strings.Fields(key), func(part string) bool { return !publicKey.MatchString(part) }):
		what = "a recipient has white space in it or around it"
	}
	return &RecipientError{Public: public, text: what + wanted}
}

// shorten keeps the beginning of a public key, which tells it from others.
func shorten(key string) string {
	if len(key) <= shown {
		return key
	}
	return key[:shown] + "..."
}
