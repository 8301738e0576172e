package access

import (
	"slices"
	"time"
)

// Token is the current token of an access, as far as its record knows it.
type Token struct {
	ID int64
	// CreatedAt is our clock at the minting; zero for an imported token.
	CreatedAt time.Time
	// ExpiresAt is zero for a permanent token.
	ExpiresAt time.Time
	// RotateAt is when the rotation window opens; zero for a permanent token.
	RotateAt time.Time
	// SecretKnown is false for an imported token: GitLab shows a secret only once.
	SecretKnown bool
}

// RetiredToken has been replaced, or is no longer needed, and is still valid.
type RetiredToken struct {
	ID        int64
	RetiredAt time.Time
	RevokeAt  time.Time
	// ExpiresAt is zero for a permanent token.
	ExpiresAt time.Time
}

// Record is what an access knows of its own tokens.
type Record struct {
	// Current is nil while there is no token.
	Current *Token
	Retired []RetiredToken
	// EndsAt is when a wind-down ends; zero while there is none.
	EndsAt     time.Time
	Generation int64
}

// owns reports whether the record knows the token.
func (r Record) owns(id int64) bool {
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

// Death is how a token that should be alive came to its end.
type Death string

// The ways in which a token dies without this provider.
const (
	DeathDeleted Death = "deleted"
	DeathRevoked Death = "revoked"
	DeathExpired Death = "expired"
)

// Lost is the verdict that the current token is dead.
type Lost struct {
	TokenID int64 `json:"token_id"`
	How     Death `json:"how"`
}

// End is the verdict that a wind-down is over. It names the wind-down by its end,
// because a token can be wound down more than once.
type End struct {
	TokenID int64     `json:"token_id"`
	EndsAt  time.Time `json:"ends_at"`
}

// Stray is a live token with our generated username that the record does not
// know: minted by an apply that died, or whose state was lost.
type Stray struct {
	TokenID   int64     `json:"token_id"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Verdicts is everything about an access that depends on the clock or on
// GitLab's list of tokens. They are made in one place and carried from there, so
// that a plan means the same whenever it is applied. Each is bound to token ids
// and says nothing about any other token.
type Verdicts struct {
	// Rotate is the current token, inside its rotation window.
	Rotate int64 `json:"rotate,omitempty"`
	Lost   *Lost `json:"lost,omitempty"`
	// End is the current token, its wind-down being over.
	End *End `json:"end,omitempty"`
	// Revoke lists retired tokens whose overlap is over.
	Revoke []int64 `json:"revoke,omitempty"`
	Strays []Stray `json:"strays,omitempty"`
	// GitLabNamed lists the tokens of the record that carry GitLab's own name.
	GitLabNamed []int64 `json:"gitlab_named,omitempty"`
	// Foreign lists unmanaged tokens that no access of the project has minted.
	Foreign []int64 `json:"foreign,omitempty"`
	// RegistryMissing: GitLab names no registry while the record has a current token.
	RegistryMissing bool `json:"registry_missing,omitempty"`
}

// Sighting is what GitLab said about the deploy tokens of a project.
type Sighting struct {
	// Tokens is the complete list.
	Tokens []DeployToken
	// CurrentGone: the current token is not in the list, and GitLab confirmed
	// that it is gone when asked for it alone.
	CurrentGone bool
}

// find returns the token with that id.
func (s Sighting) find(id int64) (DeployToken, bool) {
	i := slices.IndexFunc(s.Tokens, func(t DeployToken) bool { return t.ID == id })
	if i < 0 {
		return DeployToken{}, false
	}
	return s.Tokens[i], true
}

// Observe makes the verdicts about an access from what GitLab said at that time.
// generatedUsername is the access's username if this provider generated it, else empty.
func Observe(now time.Time, record Record, seen Sighting, generatedUsername string) Verdicts {
	var v Verdicts

	for _, t := range record.Retired {
		if !now.Before(t.RevokeAt) {
			v.Revoke = append(v.Revoke, t.ID)
		}
	}
	if current := record.Current; current != nil {
		v.Lost = death(now, *current, seen)
		if !current.RotateAt.IsZero() && !now.Before(current.RotateAt) {
			v.Rotate = current.ID
		}
		if !record.EndsAt.IsZero() && !now.Before(record.EndsAt) {
			v.End = &End{TokenID: current.ID, EndsAt: record.EndsAt}
		}
	}
	for _, t := range seen.Tokens {
		switch {
		case record.owns(t.ID):
			if t.Name == GitLabName {
				v.GitLabNamed = append(v.GitLabNamed, t.ID)
			}
		case generatedUsername != "" && t.Username == generatedUsername && t.Active(now):
			v.Strays = append(v.Strays, Stray{TokenID: t.ID, ExpiresAt: t.ExpiresAt})
		}
	}
	slices.Sort(v.Revoke)
	return v
}

func death(now time.Time, current Token, seen Sighting) *Lost {
	row, found := seen.find(current.ID)
	switch {
	case !found && seen.CurrentGone:
		return &Lost{TokenID: current.ID, How: DeathDeleted}
	case !found:
		return nil
	case row.Revoked:
		return &Lost{TokenID: current.ID, How: DeathRevoked}
	case !row.Active(now):
		return &Lost{TokenID: current.ID, How: DeathExpired}
	}
	return nil
}

// Unmanaged lists the live tokens that carry the name, or the username that the
// user chose, but are not ours: neither in the record nor marked by the generated
// username. Of generated and chosen username, at least one is empty.
func Unmanaged(now time.Time, record Record, seen Sighting, name, generatedUsername, chosenUsername string) []DeployToken {
	var unmanaged []DeployToken
	for _, t := range seen.Tokens {
		ours := record.owns(t.ID) || generatedUsername != "" && t.Username == generatedUsername
		resembles := t.Name == name || chosenUsername != "" && t.Username == chosenUsername
		if resembles && !ours && t.Active(now) {
			unmanaged = append(unmanaged, t)
		}
	}
	return unmanaged
}

// Foreign lists the ids of the tokens that no access of the project has minted.
func Foreign(tokens []DeployToken, projectID int64) []int64 {
	return IDs(slices.DeleteFunc(slices.Clone(tokens), func(t DeployToken) bool {
		return GeneratedUsername(t.Username, projectID)
	}))
}

// IDs lists the ids of the tokens, in order.
func IDs(tokens []DeployToken) []int64 {
	ids := make([]int64, 0, len(tokens))
	for _, t := range tokens {
		ids = append(ids, t.ID)
	}
	slices.Sort(ids)
	return ids
}
