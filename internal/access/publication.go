package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The keys of the CI/CD variables from which Auto DevOps takes the credentials that it writes
// into the cluster. Variables of a project win over what GitLab injects under these names
// (app/models/ci/build.rb, lib/gitlab/ci/variables/builder.rb).
const (
	UserVariable     = "CI_DEPLOY_USER"
	PasswordVariable = "CI_DEPLOY_PASSWORD" //nolint:gosec // the name of a variable, not a password
)

// DefaultScope is the environment scope that every job matches.
const DefaultScope = "*"

// CIStatus is what is known of the CI/CD variables that hold the credentials.
type CIStatus string

// The statuses of a publication.
const (
	// CIPublished: both variables hold what was published.
	CIPublished CIStatus = "published"
	// CIMissing: one of the two is not there.
	CIMissing CIStatus = "missing"
	// CIChanged: a value or a flag is another one.
	CIChanged CIStatus = "changed"
	// CIShadowed: a variable with a more exact environment scope wins for some environment.
	CIShadowed CIStatus = "shadowed"
	// CIUnverifiable: a hidden variable has the key, and GitLab does not show its value.
	CIUnverifiable CIStatus = "unverifiable"
	// CIUnreachable: GitLab refuses access to the variables while it shows the project: CI/CD
	// is off for it.
	CIUnreachable CIStatus = "unreachable"
)

// CIStatuses lists every status.
func CIStatuses() []CIStatus {
	return []CIStatus{CIPublished, CIMissing, CIChanged, CIShadowed, CIUnverifiable, CIUnreachable}
}

// Publication is what a record knows of its credentials in CI/CD variables.
type Publication struct {
	// Scope is the environment scope of the variables; empty if nothing is published.
	Scope string
	// At is when GitLab has certainly had the current credentials, or has lost them; zero
	// while that is not certain.
	At time.Time
	// Status is as of the last refresh; empty without published credentials.
	Status CIStatus
}

// Credentials are a pair as it is published.
type Credentials struct {
	TokenID  int64
	Username string
	// Secret is empty if it is not known any more: a state can hold it sealed.
	Secret Secret
	// Digest recognises such a secret; empty if that is not known either.
	Digest string
}

// Digest recognises a secret without telling it: a deploy token is too long to be guessed.
func (s Secret) Digest() string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// recognises reports whether a value is the secret; known is false if nothing tells.
func (c Credentials) recognises(value Secret) (is, known bool) {
	switch {
	case c.Secret != "":
		return value == c.Secret, true
	case c.Digest != "":
		return value.Digest() == c.Digest, true
	}
	return false, false
}

// Variable is a CI/CD variable of a project with one of the two keys.
type Variable struct {
	Key, Scope string
	// Value is empty for a hidden variable, which GitLab never shows.
	Value       Secret
	Hidden      bool
	Masked      bool
	Protected   bool
	Raw         bool
	File        bool
	Description string
}

// String names the variable without its value.
func (v Variable) String() string { return fmt.Sprintf("%s (environment scope %q)", v.Key, v.Scope) }

// NewPair is the pair of variables for credentials, as it is published at that time. Both are
// raw, so that GitLab expands nothing in them; a password is masked in the logs of jobs.
func NewPair(scope string, c Credentials, at time.Time) []Variable {
	return []Variable{
		{Key: UserVariable, Scope: scope, Value: Secret(c.Username), Raw: true, Description: userDescription},
		{
			Key: PasswordVariable, Scope: scope, Value: c.Secret, Raw: true, Masked: true,
			Description: fmt.Sprintf("autodevops: token %d, published %s", c.TokenID, at.UTC().Format(time.RFC3339)),
		},
	}
}

const userDescription = "autodevops: username of the registry deploy tokens"

var passwordDescription = regexp.MustCompile(`^autodevops: token ([0-9]+), published (\S+)$`)

// Described is the token that the description of a password names, and when it was published.
func (v Variable) Described() (tokenID int64, at time.Time, ok bool) {
	match := passwordDescription.FindStringSubmatch(v.Description)
	if match == nil {
		return 0, time.Time{}, false
	}
	tokenID, err := strconv.ParseInt(match[1], 10, 64)
	if err != nil {
		return 0, time.Time{}, false
	}
	at, err = time.Parse(time.RFC3339, match[2])
	return tokenID, at, err == nil
}

// Holds reports whether the variable does for jobs what the wanted one would. Its description
// does nothing.
func (v Variable) Holds(wanted Variable) bool {
	v.Description, wanted.Description = "", ""
	return v == wanted
}

// Variables are the variables of a project with one of the two keys, of every scope.
type Variables []Variable

// Find returns the variable of a key and a scope. GitLab compares scopes as text
// (app/finders/ci/variables_finder.rb).
func (vs Variables) Find(key, scope string) (Variable, bool) {
	i := slices.IndexFunc(vs, func(v Variable) bool { return v.Key == key && v.Scope == scope })
	if i < 0 {
		return Variable{}, false
	}
	return vs[i], true
}

// At lists the variables of a scope: none, one or both.
func (vs Variables) At(scope string) Variables {
	return slices.DeleteFunc(slices.Clone(vs), func(v Variable) bool { return v.Scope != scope })
}

// Outranking lists the variables that win over those of the scope for some environment. GitLab
// prefers an exact scope to a pattern, any pattern to "*", and of two patterns either
// (app/models/concerns/has_environment_scope.rb).
func (vs Variables) Outranking(scope string) Variables {
	return slices.DeleteFunc(slices.Clone(vs), func(v Variable) bool {
		return v.Scope == scope || v.Scope == DefaultScope || !strings.Contains(scope, "*") || !overlap(v.Scope, scope)
	})
}

// For returns the variable of a key that the jobs of an environment get. It is false if there is
// none, and if two patterns match, between which GitLab does not decide.
func (vs Variables) For(key, environment string) (Variable, bool) {
	var best Variable
	rank, tie := 0, false
	for _, v := range vs {
		if v.Key != key || !overlap(v.Scope, environment) {
			continue
		}
		r := 2
		switch {
		case v.Scope == DefaultScope:
			r = 1
		case !strings.Contains(v.Scope, "*"):
			r = 3
		}
		switch {
		case r > rank:
			best, rank, tie = v, r, false
		case r == rank:
			tie = true
		}
	}
	return best, rank > 0 && !tie
}

// overlap reports whether some name matches both patterns, in which "*" stands for any text.
func overlap(a, b string) bool {
	type at struct{ i, j int }
	seen := map[at]bool{}
	var meet func(i, j int) bool
	meet = func(i, j int) bool {
		if seen[at{i, j}] {
			return false // tried before, without success
		}
		seen[at{i, j}] = true
		switch {
		case i == len(a) && j == len(b):
			return true
		case i < len(a) && a[i] == '*':
			return meet(i+1, j) || j < len(b) && meet(i, j+1)
		case j < len(b) && b[j] == '*':
			return meet(i, j+1) || i < len(a) && meet(i+1, j)
		}
		return i < len(a) && j < len(b) && a[i] == b[j] && meet(i+1, j+1)
	}
	return meet(0, 0)
}

// Status compares the variables of a scope with the credentials that they should hold.
func (vs Variables) Status(scope string, c Credentials) CIStatus {
	status := CIPublished
	for _, wanted := range NewPair(scope, c, time.Time{}) {
		got, found := vs.Find(wanted.Key, scope)
		switch {
		case found && got.Hidden:
			return CIUnverifiable
		case !found:
			status = CIMissing
		case status == CIPublished && !got.holds(wanted, c):
			status = CIChanged
		}
	}
	if status == CIPublished && len(vs.Outranking(scope)) > 0 {
		return CIShadowed
	}
	return status
}

// holds is Holds, also where the secret is not known any more. Without a digest, the description
// tells which token it is.
func (v Variable) holds(wanted Variable, c Credentials) bool {
	if v.Key == PasswordVariable && c.Secret == "" {
		is, known := c.recognises(v.Value)
		if !known {
			described, _, ok := v.Described()
			is = ok && described == c.TokenID
		}
		wanted.Value = v.Value
		return is && v.Holds(wanted)
	}
	return v.Holds(wanted)
}

// OwnUser reports whether the user of a scope is a username of this project's tokens: one that
// this provider has generated, or the resource's own.
func (vs Variables) OwnUser(scope, username string, projectID int64) bool {
	user, found := vs.Find(UserVariable, scope)
	value := user.Value.Reveal()
	return found && !user.Hidden && (GeneratedUsername(value, projectID) || username != "" && value == username)
}

// PublishedBy lists the variables of a scope that hold what a record has published, and the
// others. A password is the record's if it is the secret that the record knows, or if its
// description names a token of the record.
func (vs Variables) PublishedBy(record Record, scope string, c Credentials) (own, others Variables) {
	at := vs.At(scope)
	password, hasPassword := at.Find(PasswordVariable, scope)
	user, hasUser := at.Find(UserVariable, scope)
	described, _, isDescribed := password.Described()
	known, _ := c.recognises(password.Value)
	known = known || isDescribed && record.Owns(described)
	sameUser := hasUser && !user.Hidden && c.Username != "" && user.Value.Reveal() == c.Username
	for _, v := range at {
		mine := sameUser && !hasPassword || hasPassword && known && !password.Hidden && (v.Key == PasswordVariable || sameUser)
		if mine {
			own = append(own, v)
		} else {
			others = append(others, v)
		}
	}
	return own, others
}

// Conflicts lists what keeps credentials from being published in variables of a scope: variables
// of somebody else with the same key and scope, and those that would win for some environment.
// A pair of this project's tokens is taken over.
func (vs Variables) Conflicts(scope, username string, projectID int64) (taken, outranking Variables) {
	if !vs.OwnUser(scope, username, projectID) {
		taken = vs.At(scope)
	}
	return taken, vs.Outranking(scope)
}

// decidePublication decides what happens to the CI/CD variables.
func (d *Decision) decidePublication(policy Policy, requirement Requirement, record Record) {
	effect := d.Action.Effect()
	p := record.Publication
	hasCredentials := record.Current != nil && record.Current.SecretKnown
	remain := effect.Mints || hasCredentials && effect.Current == CurrentStays
	begins := policy.Begins(record)
	if policy.Scope != "" && remain {
		needed := begins || effect.Mints || p.At.IsZero() ||
			p.Status == CIMissing || p.Status == CIChanged || p.Status == CIUnverifiable
		d.unreachable = !begins && p.Status == CIUnreachable && effect.Mints
		d.Publish = needed && (begins || p.Status != CIUnreachable)
	}
	if d.Publish && !effect.Mints && record.Current.Sealed {
		// Only a new token can be published.
		d.Publish = requirement.Required
		if d.Publish {
			d.Action, d.LastChange = ActionRotate, "Rotated: sealed, and not published."
		}
	}
	leftover := !hasCredentials && p.Status == CIChanged
	d.Unpublish = p.Scope != "" && (hasCredentials || leftover) && (policy.Scope != p.Scope || !remain)
}

// Begins reports whether a publication by the policy would be the first of the record, or the
// first in another scope or after a withdrawal. Somebody else may have taken the keys.
func (p Policy) Begins(record Record) bool {
	known := record.Current != nil && record.Current.SecretKnown
	return p.Scope != "" && (p.Scope != record.Publication.Scope || !known)
}

func describePublication(record Record, policy Policy) string {
	switch {
	case policy.Begins(record):
		return fmt.Sprintf("Published: token %d.", record.Current.ID)
	case record.Publication.Status == CIMissing:
		return "Published again: variable removed."
	case record.Publication.Status == CIUnverifiable:
		return "Published again: variable hidden."
	case record.Publication.Status == CIChanged:
		return "Published again: variable changed."
	}
	return fmt.Sprintf("Published again: token %d.", record.Current.ID)
}
