package access

import (
	"slices"
	"time"
)

// Status is what is known of a deploy token's life.
type Status string

// The statuses of a token.
const (
	StatusActive Status = "active"
	// StatusRevoked: somebody pressed Revoke in GitLab. The row stays and says so.
	StatusRevoked Status = "revoked"
	// StatusDeleted: GitLab does not have the token. A list can lag, so this is not certain.
	StatusDeleted Status = "deleted"
	// StatusExpired: the token's expiry has passed by GitLab's clock.
	StatusExpired Status = "expired"
)

// Statuses lists every status.
func Statuses() []Status {
	return []Status{StatusActive, StatusRevoked, StatusDeleted, StatusExpired}
}

// Token is the current token of a resource, as far as its record knows it.
type Token struct {
	ID int64
	// Username is empty if it is not known.
	Username string
	// CreatedAt is GitLab's clock at the minting; zero for an imported token.
	CreatedAt time.Time
	// ExpiresAt is zero for a permanent token.
	ExpiresAt time.Time
	// RotateAt is when the rotation window opens; zero for a permanent token.
	RotateAt time.Time
	// SecretKnown reports whether the state has the secret, sealed or not. It is false for
	// an imported token: GitLab shows a secret only once.
	SecretKnown bool
	// Sealed: its secret can be opened only by the recipients, so it cannot be published
	// another time.
	Sealed bool
	// ForVariables: it was minted to be published in CI/CD variables.
	ForVariables bool
	// Published: it may be, or may have been, in CI/CD variables, so that Secrets in clusters
	// may hold it until their next deployment.
	Published bool
}

// RetiredToken has been replaced, or is no longer needed, and is not revoked yet.
type RetiredToken struct {
	ID int64
	// Username tells the token from another one with the same id in another GitLab; empty
	// if it is not known.
	Username  string
	RetiredAt time.Time
	RevokeAt  time.Time
	// ExpiresAt is zero for a permanent token.
	ExpiresAt time.Time
	Status    Status
}

// Record is what a resource knows of its own tokens.
type Record struct {
	// Current is nil while there is no token.
	Current *Token
	Retired []RetiredToken
	// EndsAt is when a wind-down ends; zero while there is none.
	EndsAt     time.Time
	Generation int64
	// Publication is empty if the credentials are not published in CI/CD variables.
	Publication Publication
}

// Owns reports whether the record knows the token.
func (r Record) Owns(id int64) bool {
	return r.Current != nil && r.Current.ID == id ||
		slices.ContainsFunc(r.Retired, func(t RetiredToken) bool { return t.ID == id })
}

// TokenIDs lists every token of the record, the current one last.
func (r Record) TokenIDs() []int64 {
	ids := make([]int64, 0, len(r.Retired)+1)
	for _, t := range r.Retired {
		ids = append(ids, t.ID)
	}
	if r.Current != nil {
		ids = append(ids, r.Current.ID)
	}
	return ids
}

// Without returns the record after the token has been revoked.
func (r Record) Without(id int64) Record {
	r.Retired = slices.DeleteFunc(slices.Clone(r.Retired), func(t RetiredToken) bool { return t.ID == id })
	if r.Current != nil && r.Current.ID == id {
		r.Current = nil
		r.EndsAt = time.Time{}
	}
	return r
}

// Scheduled returns the record with the rotation window of the current token as the
// schedule opens it.
func (r Record) Scheduled(s Schedule) Record {
	if r.Current != nil {
		current := *r.Current
		current.RotateAt = s.WindowOf(current)
		r.Current = &current
	}
	return r
}

// lastPassed is the latest moment of the record at which something becomes due and that
// has passed at that time; zero if none has.
func (r Record) lastPassed(now time.Time) (last time.Time) {
	pass := func(moment time.Time) {
		if !moment.IsZero() && !now.Before(moment) && moment.After(last) {
			last = moment
		}
	}
	pass(r.EndsAt)
	for _, t := range r.Retired {
		pass(t.RevokeAt)
		pass(t.ExpiresAt)
	}
	if r.Current != nil {
		pass(r.Current.RotateAt)
		pass(r.Current.ExpiresAt)
	}
	return last
}
