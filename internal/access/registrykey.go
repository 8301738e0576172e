package access

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// DockerHubKey is how docker login calls Docker Hub. The kubelet takes it for every
// image of Docker Hub (pkg/credentialprovider/keyring.go of Kubernetes).
const DockerHubKey = "https://index.docker.io/v1/"

// dockerHub is the host in the names of Docker Hub's images; clients turn
// index.docker.io into it (splitDockerDomain of github.com/distribution/reference).
const dockerHub = "docker.io"

// dockerHubHosts are the hosts by which a login may call Docker Hub.
var dockerHubHosts = map[string]bool{dockerHub: true, "index.docker.io": true, "registry-1.docker.io": true}

var (
	// A label can be or contain the kubelet's wildcard "*".
	registryHost = regexp.MustCompile(`^([a-z0-9_*-]+(?:\.[a-z0-9_*-]+)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$`)
	imagePath    = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
)

// RegistryKey is the key of a registry in a docker config: host[:port] in lower case,
// without the scheme, the path and the slashes of a login URL. Docker Hub has
// DockerHubKey. The error says what is possible. It never quotes the registry, in
// which somebody may have written a password.
func RegistryKey(registry string) (string, error) {
	host, _, err := splitRegistry(registry)
	if err != nil {
		return "", err
	}
	if dockerHubHosts[host] {
		return DockerHubKey, nil
	}
	return host, nil
}

// ImagePrefixKey is the key of an image prefix in a docker config: RegistryKey, and the
// path as it is written. The error is as that of RegistryKey.
func ImagePrefixKey(prefix string) (string, error) {
	host, path, err := splitRegistry(prefix)
	switch {
	case err != nil:
		return "", err
	case path == "":
		return RegistryKey(host)
	case host == "index.docker.io":
		host = dockerHub
	}
	return host + "/" + path, nil
}

// splitRegistry takes a registry or an image prefix apart, with or without the scheme
// and the API version of a login URL.
func splitRegistry(text string) (host, path string, err error) {
	scheme, rest, hasScheme := strings.Cut(text, "://")
	if !hasScheme {
		scheme, rest = "https", text
	}
	host, path, _ = strings.Cut(rest, "/")
	host, path = strings.ToLower(host), strings.TrimRight(path, "/")
	if path == "v1" || path == "v2" { // the registry API's version, no part of an image's name
		path = ""
	}
	switch {
	case strings.ContainsFunc(text, isSpaceOrControl):
		err = invalidRegistry("contains white space or control characters")
	case strings.Contains(text, "@"):
		err = invalidRegistry("contains a user, a password or a digest")
	case strings.ContainsAny(text, "?#"):
		err = invalidRegistry("contains a query or a fragment")
	case !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http"):
		err = invalidRegistry("has another scheme than https and http")
	case host == "":
		err = invalidRegistry("has no host")
	case !validRegistryHost(host):
		err = invalidRegistry("has an invalid host or port")
	case path != "" && !imagePath.MatchString(path):
		err = invalidRegistry("has a path that cannot be part of an image's name")
	}
	return host, path, err
}

func validRegistryHost(host string) bool {
	parts := registryHost.FindStringSubmatch(host)
	if parts == nil || parts[2] == "" {
		return parts != nil
	}
	port, err := strconv.ParseUint(parts[2], 10, 16)
	return err == nil && port > 0
}

func invalidRegistry(problem string) error {
	return errors.New("it " + problem + ". Possible are a host such as ghcr.io or registry.example.com:5050, " +
		"a login URL such as " + DockerHubKey + ", and an image prefix such as registry.example.com/acme/shop")
}

func isSpaceOrControl(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
