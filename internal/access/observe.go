package access

import (
	"slices"
	"time"
)

// Lost is a current token that GitLab no longer has, or has revoked.
type Lost struct {
	TokenID int64 `json:"token_id"`
	// Status is StatusDeleted or StatusRevoked.
	Status Status `json:"status"`
}

// Orphan is a live token with our generated username that the record does not
// know: minted by an apply that died, or whose state was lost.
type Orphan struct {
	TokenID   int64     `json:"token_id"`
	Username  string    `json:"username,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Observation is everything that a decision takes from the clock and from GitLab's list
// of tokens. It is made by a refresh and carried from there, so that a plan means the
// same whenever it is applied.
type Observation struct {
	// AsOf is the latest moment of the record (rotation, expiry, end, revocation) that
	// had passed; zero if none had. It changes only when another one passes.
	AsOf time.Time `json:"as_of,omitzero"`
	// Window is a current token whose rotation window a plan without a refresh has found
	// open by this machine's clock. It rotates that token and ends none.
	Window  int64    `json:"window,omitempty"`
	Lost    *Lost    `json:"lost,omitempty"`
	Orphans []Orphan `json:"orphans,omitempty"`
	// GitLabNamed lists the tokens of the record that carry GitLab's own name.
	GitLabNamed []int64 `json:"gitlab_named,omitempty"`
	// Unmanaged lists active tokens of the name that no resource of this provider minted.
	Unmanaged []int64 `json:"unmanaged,omitempty"`
	// Injected lists tokens that GitLab gives to jobs and that can do more than pull.
	Injected []int64 `json:"injected,omitempty"`
	// Holders are the environments that hold a token of the record, as far as they were asked for.
	Holders map[int64][]string `json:"holders,omitempty"`
	// LeftScopes are scopes in which CI/CD variables hold what the record has published.
	LeftScopes []string `json:"left_scopes,omitempty"`
	// VariablesOff: GitLab refuses access to the CI/CD variables.
	VariablesOff bool `json:"variables_off,omitempty"`
	// RegistryMissing: GitLab names no registry while the record has a current token.
	RegistryMissing bool `json:"registry_missing,omitempty"`
}

// passed reports whether a moment of the record had passed.
func (o Observation) passed(moment time.Time) bool {
	return !moment.IsZero() && !o.AsOf.Before(moment)
}

// Status is the status of the current token.
func (o Observation) Status(current Token) Status {
	switch {
	case o.Lost != nil && o.Lost.TokenID == current.ID:
		return o.Lost.Status
	case o.passed(current.ExpiresAt):
		return StatusExpired
	}
	return StatusActive
}

// inWindow reports whether the current token should be replaced.
func (o Observation) inWindow(current Token) bool {
	return o.passed(current.RotateAt) || o.Window == current.ID
}

// Sighting is what GitLab said about the deploy tokens of a project.
type Sighting struct {
	// Tokens is the complete list.
	Tokens []DeployToken
	// CurrentGone: the current token is not in the list, and GitLab confirmed
	// that it is gone when asked for it alone.
	CurrentGone bool
}

// Find returns the token with that id.
func (s Sighting) Find(id int64) (DeployToken, bool) {
	i := slices.IndexFunc(s.Tokens, func(t DeployToken) bool { return t.ID == id })
	if i < 0 {
		return DeployToken{}, false
	}
	return s.Tokens[i], true
}

// Observe makes an observation of what GitLab said at that time of its clock.
// generatedUsername is the resource's username if this provider generated it, else empty.
func Observe(now time.Time, record Record, seen Sighting, generatedUsername string) Observation {
	o := Observation{AsOf: record.lastPassed(now)}
	if current := record.Current; current != nil {
		o.Lost = lost(*current, seen)
	}
	for _, t := range seen.Tokens {
		switch {
		case record.Owns(t.ID):
			if t.Name == GitLabName {
				o.GitLabNamed = append(o.GitLabNamed, t.ID)
			}
		case generatedUsername != "" && t.Username == generatedUsername && t.Active(now):
			o.Orphans = append(o.Orphans, Orphan{TokenID: t.ID, Username: t.Username, ExpiresAt: t.ExpiresAt})
		}
	}
	return o
}

func lost(current Token, seen Sighting) *Lost {
	switch row, found := seen.Find(current.ID); {
	case !found && seen.CurrentGone:
		return &Lost{TokenID: current.ID, Status: StatusDeleted}
	case found && row.Revoked:
		return &Lost{TokenID: current.ID, Status: StatusRevoked}
	}
	return nil
}

// Seen returns the record with the statuses and usernames of its retired tokens as
// GitLab lists them.
func (r Record) Seen(now time.Time, seen Sighting) Record {
	r.Retired = slices.Clone(r.Retired)
	for i, t := range r.Retired {
		row, found := seen.Find(t.ID)
		if found {
			r.Retired[i].Username = row.Username
		}
		switch {
		case !found:
			r.Retired[i].Status = StatusDeleted
		case row.Revoked:
			r.Retired[i].Status = StatusRevoked
		case !row.Active(now):
			r.Retired[i].Status = StatusExpired
		default:
			r.Retired[i].Status = StatusActive
		}
	}
	return r
}

// Unmanaged lists the live tokens that carry the name, or the username that the
// user chose, but are not ours: neither in the record nor marked by the generated
// username. Of generated and chosen username, at least one is empty.
func Unmanaged(now time.Time, record Record, seen Sighting, name, generatedUsername, chosenUsername string) []DeployToken {
	var unmanaged []DeployToken
	for _, t := range seen.Tokens {
		ours := record.Owns(t.ID) || generatedUsername != "" && t.Username == generatedUsername
		resembles := t.Name == name || chosenUsername != "" && t.Username == chosenUsername
		if resembles && !ours && t.Active(now) {
			unmanaged = append(unmanaged, t)
		}
	}
	return unmanaged
}

// WithoutGenerated leaves out the tokens whose username this provider generated for the
// project: another resource, another state or an interrupted run minted them.
func WithoutGenerated(tokens []DeployToken, projectID int64) []DeployToken {
	return slices.DeleteFunc(slices.Clone(tokens), func(t DeployToken) bool {
		return GeneratedUsername(t.Username, projectID)
	})
}

// Injected lists the live tokens that GitLab gives to jobs as CI_DEPLOY_USER and
// CI_DEPLOY_PASSWORD, that are not the record's and that can do more than pull: jobs may use
// them for it.
func Injected(now time.Time, record Record, tokens []DeployToken) []int64 {
	var injected []DeployToken
	for _, t := range tokens {
		more := slices.ContainsFunc(t.Scopes, func(scope string) bool { return scope != ScopeReadRegistry })
		if t.Name == GitLabName && t.Active(now) && more && !record.Owns(t.ID) {
			injected = append(injected, t)
		}
	}
	if len(injected) == 0 {
		return nil
	}
	return IDs(injected)
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
