package access

import "strings"

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
	credentials, err := ReadDockerConfig(config)
	if err != nil || len(credentials) != 1 {
		return ""
	}
	return credentials[0].Username
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
