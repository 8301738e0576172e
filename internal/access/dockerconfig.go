package access

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// EmptyDockerConfig is a valid docker config without credentials. It is what a
// cluster must hold where none are needed: a pull with dead credentials is
// refused even for a public image.
const EmptyDockerConfig = `{"auths":{}}`

type dockerConfig struct {
	Auths map[string]dockerAuth `json:"auths"`
}

type dockerAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
}

// DockerConfig renders the credentials for one registry, host[:port] without a
// scheme, as kubelet matches it. The same input gives the same bytes.
func DockerConfig(registry, username string, secret Secret) string {
	// One credential has no conflict, and a map of strings always encodes.
	rendered, _ := MergeDockerConfig([]Credential{{Key: registry, Username: username, Password: secret}})
	return rendered
}

// DockerConfigUsername returns the username in a docker config of one registry;
// empty if there is none.
func DockerConfigUsername(config string) string {
	var stored storedConfig
	if json.Unmarshal([]byte(config), &stored) != nil || len(stored.Auths) != 1 {
		return ""
	}
	return slices.Collect(maps.Values(stored.Auths))[0].Username
}

// Credential is one login of a docker config.
type Credential struct {
	// Key is what kubelet matches an image against: a registry host[:port], or an
	// image prefix, which keeps several projects of one registry apart.
	Key      string
	Username string
	Password Secret
}

// ConflictingKeyError says that two different credentials have the same key.
type ConflictingKeyError struct{ Key string }

func (e *ConflictingKeyError) Error() string {
	return fmt.Sprintf("two different credentials for %s", e.Key)
}

// MergeDockerConfig renders many credentials as one docker config; none at all is
// EmptyDockerConfig. The same input gives the same bytes. The error is a
// *ConflictingKeyError: a docker config holds one credential for each key.
func MergeDockerConfig(credentials []Credential) (string, error) {
	config := dockerConfig{Auths: map[string]dockerAuth{}}
	for _, c := range credentials {
		auth := dockerAuth{
			Username: c.Username, Password: c.Password.Reveal(),
			Auth: base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password.Reveal())),
		}
		if other, taken := config.Auths[c.Key]; taken && other != auth {
			return "", &ConflictingKeyError{Key: c.Key}
		}
		config.Auths[c.Key] = auth
	}
	rendered, err := json.Marshal(config)
	return string(rendered), err
}

// RegistryHost is the host[:port] of an image prefix; empty for an empty prefix.
func RegistryHost(imagePrefix string) string {
	host, _, _ := strings.Cut(imagePrefix, "/")
	return host
}

// RepositoryPath is the registry's name for the project: the image prefix without its host.
func RepositoryPath(imagePrefix string) string {
	_, path, _ := strings.Cut(imagePrefix, "/")
	return path
}

// DockerConfigRevision is a number for a docker config, the same for the same bytes
// and another one for others. It fits 31 bits, so that every platform's int holds it,
// and comes from the content alone: a counter would give two contents one number once
// a state is lost.
func DockerConfigRevision(config string) int64 {
	sum := sha256.Sum256([]byte(config))
	return int64(binary.BigEndian.Uint32(sum[:]) >> 1)
}
