// Package seal encrypts the credentials of a registry for the holders of age keys, and
// opens them again. What it makes is an ordinary armored age file (https://age-encryption.org/v1),
// so `age --decrypt` opens it as well.
package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// Credentials are what is sealed.
type Credentials struct {
	// Username and Token are empty if no credentials are published.
	Username string
	Token    access.Secret
	// DockerConfigJSON is access.EmptyDockerConfig if no credentials are published.
	DockerConfigJSON access.Secret
}

// formatVersion is the version of the JSON inside of a sealed value.
const formatVersion = 1

// mostBytes bounds what is read from a sealed value: far more than credentials need.
const mostBytes = 1 << 20

// content is the JSON inside of a sealed value.
type content struct {
	Version          int    `json:"version"`
	Username         string `json:"username,omitempty"`
	Token            string `json:"token,omitempty"`
	DockerConfigJSON string `json:"docker_config_json"`
}

// Seal encrypts credentials so that each of the recipients can open them. Two results
// for the same credentials differ, because age never uses a key twice.
func (r Recipients) Seal(c Credentials) (string, error) {
	encoded, err := json.Marshal(content{
		Version: formatVersion, Username: c.Username, Token: c.Token.Reveal(), DockerConfigJSON: c.DockerConfigJSON.Reveal(),
	})
	if err != nil {
		return "", errors.New("the credentials cannot be encoded")
	}
	return r.encrypt(encoded)
}

func (r Recipients) encrypt(plain []byte) (string, error) {
	recipients := make([]age.Recipient, 0, len(r))
	for _, recipient := range r {
		recipients = append(recipients, recipient)
	}
	var sealed strings.Builder
	armored := armor.NewWriter(&sealed)
	encrypted, err := age.Encrypt(armored, recipients...)
	if err == nil {
		_, err = encrypted.Write(plain)
	}
	if err == nil {
		err = encrypted.Close()
	}
	if err == nil {
		err = armored.Close()
	}
	if err != nil {
		return "", fmt.Errorf("encrypt the credentials: %w", err)
	}
	return sealed.String(), nil
}

// Errors of Open.
var (
	// ErrForeign: the value was not made by Seal.
	ErrForeign = errors.New("it is not an armored age file that this provider has made")
	// ErrDamaged: the value began as one that Seal has made.
	ErrDamaged = errors.New("it is incomplete or was changed after it was sealed")
	// ErrOtherRecipients: none of the identities belongs to a recipient of the value.
	ErrOtherRecipients = errors.New("it was sealed for other recipients")
)

// Open decrypts a sealed value with the first identity that can. No error contains a part
// of the value, of the credentials or of an identity.
func (i Identities) Open(sealed string) (Credentials, error) {
	if !strings.HasPrefix(strings.TrimSpace(sealed), armor.Header) {
		return Credentials{}, ErrForeign
	}
	identities := make([]age.Identity, 0, len(i))
	for _, identity := range i {
		identities = append(identities, identity)
	}
	encrypted, err := io.ReadAll(io.LimitReader(armor.NewReader(strings.NewReader(strings.TrimSpace(sealed))), mostBytes))
	if err != nil {
		return Credentials{}, ErrDamaged
	}
	opened, err := age.Decrypt(bytes.NewReader(encrypted), identities...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return Credentials{}, ErrOtherRecipients
	}
	if err != nil {
		return Credentials{}, ErrDamaged
	}
	plain, err := io.ReadAll(opened)
	if err != nil {
		return Credentials{}, ErrDamaged
	}
	return decode(plain)
}

func decode(plain []byte) (Credentials, error) {
	var versioned struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(plain, &versioned) != nil || versioned.Version < 1 {
		return Credentials{}, ErrForeign
	}
	if versioned.Version > formatVersion {
		return Credentials{}, fmt.Errorf("a newer version of the provider has sealed it (format %d, this version knows %d)", versioned.Version, formatVersion)
	}
	var c content
	if json.Unmarshal(plain, &c) != nil || c.DockerConfigJSON == "" {
		return Credentials{}, ErrForeign
	}
	return Credentials{Username: c.Username, Token: access.Secret(c.Token), DockerConfigJSON: access.Secret(c.DockerConfigJSON)}, nil
}
