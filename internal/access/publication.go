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
	// Scope is the environment scope of the variables that hold the credentials, or may hold
	// them; empty if none do.
	Scope string
	// Stale are other scopes, whose variables are still to be removed.
	Stale []string
	// At is when GitLab has certainly had the current credentials, or has lost them; zero
	// while that is not certain.
	At time.Time
	// Status is as of the last refresh; empty without published credentials.
	Status CIStatus
	// Credentials are all that the variables may have held, the current ones included.
	Credentials []Credentials
	// Holder is the token that the variables have certainly held last; 0 if none.
	Holder int64
}

// Scopes lists every scope in which something may be published.
func (p Publication) Scopes() []string {
	scopes := slices.Clone(p.Stale)
	if p.Scope != "" {
		scopes = append(scopes, p.Scope)
	}
	return scopes
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

// OwnPair reports whether the variables of a scope were published by a resource of this provider
// for the project: their user was generated for it, or it is the username that the configuration
// chooses and the password's description is this provider's.
func (vs Variables) OwnPair(scope, chosen string, projectID int64) bool {
	user, found := vs.Find(UserVariable, scope)
	password, _ := vs.Find(PasswordVariable, scope)
	_, _, described := password.Described()
	if !found || user.Hidden {
		// Without its user, a password of this provider's pulls nothing.
		return !found && described
	}
	value := user.Value.Reveal()
	return GeneratedUsername(value, projectID) || chosen != "" && value == chosen && described
}

// PublishedBy lists the variables of a scope that hold what a record has published, and the
// others.
func (vs Variables) PublishedBy(record Record, scope string) (own, others Variables) {
	at := vs.At(scope)
	password, hasPassword := at.Find(PasswordVariable, scope)
	ownPassword := hasPassword && record.hasPublished(password)
	if user, found := at.Find(UserVariable, scope); found && hasPassword && !ownPassword {
		ownPassword = record.mayHavePublished(password, user)
	}
	// A copy of the state may have published with the same username.
	described, _, isDescribed := password.Described()
	anothers := isDescribed && !record.Owns(described)
	for _, v := range at {
		mine := ownPassword
		if v.Key == UserVariable {
			value := v.Value.Reveal()
			mine = !v.Hidden && record.hasUsed(value) && (!hasPassword || ownPassword || ReservedUsername.MatchString(value) && !anothers)
		}
		if mine {
			own = append(own, v)
		} else {
			others = append(others, v)
		}
	}
	return own, others
}

// PublishedIn is PublishedBy for several scopes.
func (vs Variables) PublishedIn(record Record, scopes []string) (own, others Variables) {
	for _, scope := range scopes {
		mine, rest := vs.PublishedBy(record, scope)
		own, others = append(own, mine...), append(others, rest...)
	}
	return own, others
}

// hasPublished reports whether a password is one that the record has published. Its description
// counts only for a token of which nothing else is known: GitLab's form keeps it when somebody
// changes the value.
func (r Record) hasPublished(password Variable) bool {
	if password.Hidden {
		return false
	}
	described, _, ok := password.Described()
	for _, c := range r.Publication.Credentials {
		is, known := c.recognises(password.Value)
		if is {
			return true
		}
		if known && c.TokenID == described {
			ok = false
		}
	}
	return ok && r.Owns(described)
}

// mayHavePublished reports whether nothing speaks against a password beside a username that only
// this record uses: a state that has lost its notes knows no digest, and older versions of GitLab
// have no descriptions.
func (r Record) mayHavePublished(password, user Variable) bool {
	knowsNothing := !slices.ContainsFunc(r.Publication.Credentials, func(c Credentials) bool { return c.Secret != "" || c.Digest != "" })
	value := user.Value.Reveal()
	return knowsNothing && password.Description == "" && !password.Hidden && !user.Hidden && ReservedUsername.MatchString(value) && r.hasUsed(value)
}

// Owning returns the record with orphans as its own, which an interrupted apply has made.
func (r Record) Owning(orphans []Orphan) Record {
	r.Retired = slices.Clone(r.Retired)
	for _, o := range orphans {
		if !r.Owns(o.TokenID) {
			r.Retired = append(r.Retired, RetiredToken{ID: o.TokenID, Username: o.Username, ExpiresAt: o.ExpiresAt})
		}
	}
	return r
}

// ScopesOf lists the scopes in which variables hold what the record has published.
func (vs Variables) ScopesOf(record Record) []string {
	var scopes []string
	for _, v := range vs {
		if own, _ := vs.PublishedBy(record, v.Scope); len(own) > 0 && !slices.Contains(scopes, v.Scope) {
			scopes = append(scopes, v.Scope)
		}
	}
	slices.Sort(scopes)
	return scopes
}

// hasUsed reports whether the username is one of the record's.
func (r Record) hasUsed(username string) bool {
	return slices.ContainsFunc(r.Publication.Credentials, func(c Credentials) bool { return c.Username != "" && c.Username == username }) ||
		slices.ContainsFunc(r.Retired, func(t RetiredToken) bool { return t.Username != "" && t.Username == username })
}

// Conflicts lists what keeps credentials from being published in variables of a scope: variables
// of somebody else with the same key and scope, and those that would win for some environment.
// What the record has published is no conflict, and a pair of this project's tokens is taken
// over, or removed by its own resource.
func (vs Variables) Conflicts(record Record, scope, chosen string, projectID int64) (taken, outranking Variables) {
	if _, others := vs.PublishedBy(record, scope); !vs.OwnPair(scope, chosen, projectID) {
		taken = others
	}
	for _, v := range vs.Outranking(scope) {
		own, _ := vs.PublishedBy(record, v.Scope)
		if !slices.Contains(own, v) && !vs.OwnPair(v.Scope, chosen, projectID) {
			outranking = append(outranking, v)
		}
	}
	return taken, outranking
}

// Reaches reports whether the jobs of an environment get both variables of the scope.
func (vs Variables) Reaches(scope, environment string) bool {
	user, hasUser := vs.For(UserVariable, environment)
	password, hasPassword := vs.For(PasswordVariable, environment)
	return hasUser && hasPassword && user.Scope == scope && password.Scope == scope
}

// decidePublication decides what happens to the CI/CD variables.
func (d *Decision) decidePublication(policy Policy, requirement Requirement, record Record, seen Observation) {
	effect := d.Action.Effect()
	p := record.Publication
	hasCredentials := record.Current != nil && record.Current.SecretKnown
	remain := effect.Mints || hasCredentials && effect.Current == CurrentStays
	if policy.Scope != "" && remain {
		begins := policy.Begins(record)
		needed := begins || effect.Mints || p.At.IsZero() ||
			p.Status == CIMissing || p.Status == CIChanged || p.Status == CIUnverifiable
		off := !begins && (p.Status == CIUnreachable || seen.VariablesOff)
		d.unreachable = off && effect.Mints
		d.Publish = needed && !off
	}
	readBack := (p.Status == CIPublished || p.Status == CIShadowed) && !policy.Begins(record)
	if d.Publish && !effect.Mints && record.Current.Sealed && !readBack {
		// Only a new token can be published.
		d.Publish = requirement.Required
		if d.Publish {
			d.Action, d.LastChange = ActionRotate, "Rotated: sealed, and not published."
		}
	}
	switch {
	case len(p.Scopes()) == 0, seen.VariablesOff && d.Action == ActionNone:
	case policy.Scope == "" || !remain:
		d.Unpublish = true
	default:
		// Variables of another scope stay until those in the new one are there.
		d.Unpublish = len(p.Stale) > 0 || d.Publish && p.Scope != "" && p.Scope != policy.Scope
	}
}

// mustLive reports whether a retired token may still be what the variables hold, so that only its
// own expiry ends it: nothing says for certain that they hold another one.
func (d *Decision) mustLive(t RetiredToken, record Record, seen Observation) bool {
	p := record.Publication
	certain := record.Current != nil && !p.At.IsZero() && p.Holder == record.Current.ID
	replaces := d.Publish || d.Unpublish && !seen.VariablesOff
	return p.Scope != "" && !certain && !replaces && !seen.passed(t.ExpiresAt)
}

// holdsOutOfReach reports whether the current token may be in variables that nobody can remove now.
func (r Record) holdsOutOfReach(seen Observation) bool {
	return seen.VariablesOff && r.Publication.Scope != "" && !seen.passed(r.Current.ExpiresAt)
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
	case record.Publication.At.IsZero():
		return fmt.Sprintf("Published again: token %d.", record.Current.ID)
	case record.Publication.Status == CIMissing:
		return "Published again: variable removed."
	case record.Publication.Status == CIUnverifiable:
		return "Published again: variable hidden."
	}
	return "Published again: variable changed."
}

// describeRemoval says why variables are removed.
func describeRemoval(policy Policy) string {
	if policy.Scope == "" {
		return "Unpublished: ci_variables was removed."
	}
	return "Unpublished: what was left behind."
}
