// Package access holds the decisions about a project's registry access: whether
// it is required, and what becomes of its deploy tokens. Everything in it is
// pure: no Terraform, no HTTP and no clock of its own.
package access

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Names of deploy tokens.
const (
	// DefaultName is the name of the deploy tokens that a resource mints.
	DefaultName = "autodevops-registry-access"
	// GitLabName is the name that GitLab exports to every job as CI_DEPLOY_USER
	// and CI_DEPLOY_PASSWORD, and gives to the token that it makes by itself
	// (app/models/deploy_token.rb, app/models/ci/build.rb).
	GitLabName = "gitlab-deploy-token"
)

// ScopeReadRegistry is the scope without which a deploy token cannot pull.
const ScopeReadRegistry = "read_registry"

// Scopes lists the deploy token scopes in GitLab's own order.
func Scopes() []string {
	return []string{
		"read_repository", ScopeReadRegistry, "write_registry", "read_package_registry",
		"write_package_registry", "read_virtual_registry", "write_virtual_registry",
	}
}

// Secret is the password half of a deploy token. It prints as a placeholder, so
// that it cannot end up in a log or an error by accident.
type Secret string

const hiddenSecret = "(secret)"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret from every verb that prints values.
func (s Secret) String() string { return hiddenSecret }

// GoString hides the secret from %#v as well.
func (s Secret) GoString() string { return hiddenSecret }

// MarshalText keeps the secret out of JSON as well.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hiddenSecret), nil }

// DeployToken is a deploy token as GitLab lists it, without its secret.
type DeployToken struct {
	ID       int64
	Name     string
	Username string
	Scopes   []string
	// ExpiresAt is zero for a token that never expires.
	ExpiresAt time.Time
	Revoked   bool
}

// Active reports whether GitLab accepts the token at that time. GitLab's own
// "expired" flag is not used: it compares with the start of the day, so it turns true up
// to a day after the token has stopped working (app/models/deploy_token.rb).
func (t DeployToken) Active(now time.Time) bool {
	return !t.Revoked && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// CanPull reports whether the token pulls images at that time.
func (t DeployToken) CanPull(now time.Time) bool {
	return t.Active(now) && slices.Contains(t.Scopes, ScopeReadRegistry)
}

// ReservedUsername matches the usernames that this provider generates. They mark
// a token as ours, so no configuration may choose one.
var ReservedUsername = regexp.MustCompile(`^autodevops-[0-9]+-[a-z0-9]{8}$`)

// NewUsername generates a username for the deploy tokens of that project.
func NewUsername(projectID int64) string {
	return usernamePrefix(projectID) + strings.ToLower(rand.Text()[:8])
}

// GeneratedUsername reports whether NewUsername made the username for that project.
func GeneratedUsername(username string, projectID int64) bool {
	return ReservedUsername.MatchString(username) && strings.HasPrefix(username, usernamePrefix(projectID))
}

func usernamePrefix(projectID int64) string {
	return fmt.Sprintf("autodevops-%d-", projectID)
}
