package access

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// storedConfig is a docker config as it may be stored: our own, or one that docker
// login has written (cli/config/configfile/file.go of docker/cli).
type storedConfig struct {
	Auths       map[string]storedLogin `json:"auths"`
	CredsStore  string                 `json:"credsStore"`
	CredHelpers map[string]string      `json:"credHelpers"`
}

type storedLogin struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// possibleLogins ends the message about a login that cannot be used.
const possibleLogins = `Possible are entries with "username" and "password", and entries with "auth", ` +
	`the base64 of username:password, which docker login writes where no credential helper is set up`

// ReadDockerConfig returns the credentials of a docker config, in the order of their
// keys, which stay as they are written. The error says what is possible. It never
// holds what it could not read, and no secret.
func ReadDockerConfig(config string) ([]Credential, error) {
	var stored storedConfig
	if json.Unmarshal([]byte(config), &stored) != nil {
		return nil, errors.New("it is not a docker config")
	}
	switch {
	case stored.CredsStore != "":
		return nil, errors.New("it names a credential helper in credsStore, which holds the credentials. " + possibleLogins)
	case len(stored.CredHelpers) > 0:
		return nil, errors.New("it names credential helpers in credHelpers, which hold the credentials. " + possibleLogins)
	case stored.Auths == nil:
		return nil, errors.New("it is not a docker config")
	}
	credentials := make([]Credential, 0, len(stored.Auths))
	for _, key := range slices.Sorted(maps.Keys(stored.Auths)) {
		credential, err := stored.Auths[key].credential(key)
		if err != nil {
			return nil, fmt.Errorf("the entry for %s %w", describeKey(key), err)
		}
		credentials = append(credentials, credential)
	}
	return credentials, nil
}

// credential reads one entry. The error goes on after "the entry for ...".
func (l storedLogin) credential(key string) (Credential, error) {
	switch {
	case l.IdentityToken != "":
		return Credential{}, errors.New("has an identitytoken, which the kubelet cannot use. " + possibleLogins)
	case l.RegistryToken != "":
		return Credential{}, errors.New("has a registrytoken, which the kubelet cannot use. " + possibleLogins)
	case l == storedLogin{}:
		return Credential{}, errors.New("is empty, as docker login leaves it where a credential helper holds the credentials. " + possibleLogins)
	}
	c := Credential{Key: key, Username: l.Username, Password: Secret(l.Password)}
	if l.Auth != "" {
		username, password, ok := decodeAuth(l.Auth)
		if !ok {
			return Credential{}, errors.New("has an auth that is not the base64 of username:password. " + possibleLogins)
		}
		if l.Username != "" && l.Username != username || l.Password != "" && l.Password != password {
			return Credential{}, errors.New("has an auth that contradicts its username or password. Leave auth out, or correct it")
		}
		c.Username, c.Password = username, Secret(password)
	}
	if c.Username == "" || c.Password == "" {
		return Credential{}, errors.New("has no username and password. " + possibleLogins)
	}
	if err := c.Check(); err != nil {
		return Credential{}, fmt.Errorf("cannot be used: %w", err)
	}
	return c, nil
}

// decodeAuth takes the base64 with and without padding, as the kubelet does.
func decodeAuth(auth string) (username, password string, ok bool) {
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(auth, "="))
	if err != nil || !utf8.Valid(decoded) {
		return "", "", false
	}
	return strings.Cut(string(decoded), ":")
}

// Check reports what HTTP Basic authentication cannot carry: a colon in the username,
// and control characters (RFC 7617, section 2). No registry has usernames with white
// space. The error quotes neither username nor password.
func (c Credential) Check() error {
	switch {
	case strings.ContainsFunc(c.Username, isSpaceOrControl) || strings.Contains(c.Username, ":"):
		return errors.New("the username contains a colon, white space or a control character. Possible are all other characters")
	case strings.ContainsFunc(c.Password.Reveal(), unicode.IsControl):
		return errors.New("the password contains a line break or another control character. " +
			"Use trimspace(...) for the content of a file, and jsonencode(jsondecode(...)) for a key in JSON")
	}
	return nil
}

// describeKey names an entry. A key that is no registry may hold a password.
func describeKey(key string) string {
	if name, err := RegistryKey(key); err == nil {
		return name
	}
	return "an invalid registry"
}
