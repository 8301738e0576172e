package access

import (
	"encoding/base64"
	"encoding/json"
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
	pair := username + ":" + secret.Reveal()
	config := dockerConfig{Auths: map[string]dockerAuth{
		registry: {
			Username: username,
			Password: secret.Reveal(),
			Auth:     base64.StdEncoding.EncodeToString([]byte(pair)),
		},
	}}
	// A map of strings always encodes, with its keys in order.
	rendered, _ := json.Marshal(config)
	return string(rendered)
}

// DockerConfigUsername returns the username in a docker config of one registry;
// empty if there is none.
func DockerConfigUsername(config string) string {
	var parsed dockerConfig
	if json.Unmarshal([]byte(config), &parsed) != nil || len(parsed.Auths) != 1 {
		return ""
	}
	for _, auth := range parsed.Auths {
		return auth.Username
	}
	return ""
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
