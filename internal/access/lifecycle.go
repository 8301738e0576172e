package access

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy is what the configuration asks of the tokens of an access.
type Policy struct {
	Schedule Schedule
	// Keep leaves a token in place that is no longer required (on_not_required = "keep").
	Keep bool
	// Changed names the arguments that the current token was not minted with.
	Changed []string
}

// Fate is what becomes of the current token.
type Fate string

// The fates of a current token.
const (
	// FateStays: it remains the current token, if there is one.
	FateStays Fate = "stays"
	// FateRetired: it is given up and revoked after the overlap.
	FateRetired Fate = "retired"
	// FateForgotten: it was revoked by hand and leaves the record. Its row stays in
	// GitLab as somebody's audit trail.
	FateForgotten Fate = "forgotten"
	// FateEnded: its wind-down is over, it is revoked now.
	FateEnded Fate = "ended"
)

// WindDown is a change of the end date of a current token that is not required.
type WindDown string

// The changes of a wind-down.
const (
	WindDownUnchanged WindDown = ""
	WindDownStarts    WindDown = "starts"
	WindDownCancelled WindDown = "cancelled"
)

// Decision is what happens to the tokens of an access.
type Decision struct {
	// Mint makes the next generation before anything else happens.
	Mint     bool
	Fate     Fate
	WindDown WindDown
	// Revoke lists the retired tokens whose overlap is over.
	Revoke []int64
	// Dead: the current token works no more, so that it needs no overlap.
	Dead bool
	// Adopt lists stray tokens that are retired now.
	Adopt []Stray
	// Hold: GitLab named no registry, so everything is left as it is.
	Hold bool
	// LastChange says why, for people; empty when the current token's story does not change.
	LastChange string
}

// Changes reports whether the decision does anything.
func (d Decision) Changes() bool {
	return d.Mint || d.Fate != FateStays || d.WindDown != WindDownUnchanged || len(d.Revoke) > 0 || len(d.Adopt) > 0
}

// OnlyRevokes reports whether the decision changes nothing but the list of retired tokens, in a way known beforehand.
func (d Decision) OnlyRevokes() bool {
	return !d.Mint && d.Fate == FateStays && d.WindDown == WindDownUnchanged && len(d.Adopt) == 0
}

// Decide says what happens to the tokens of an access. It asks no clock: all that
// depends on time is in the verdicts.
func Decide(policy Policy, requirement Requirement, record Record, verdicts Verdicts) Decision {
	if record.Current != nil && requirement.RegistryMissing {
		return Decision{Fate: FateStays, Hold: true}
	}
	var d Decision
	if requirement.Required {
		d = decideRequired(policy, requirement, record, verdicts)
	} else {
		d = decideNotRequired(policy, requirement, record, verdicts)
	}
	for _, t := range record.Retired {
		if slices.Contains(verdicts.Revoke, t.ID) {
			d.Revoke = append(d.Revoke, t.ID)
		}
	}
	for _, stray := range verdicts.Strays {
		if !record.owns(stray.TokenID) {
			d.Adopt = append(d.Adopt, stray)
		}
	}
	return d
}

func decideRequired(policy Policy, requirement Requirement, record Record, verdicts Verdicts) Decision {
	current := record.Current
	replace := func(why string, args ...any) Decision {
		return Decision{Mint: true, Fate: FateRetired, LastChange: fmt.Sprintf(why, args...)}
	}

	switch {
	case current == nil && record.Generation == 0:
		return Decision{Mint: true, Fate: FateStays, LastChange: "Minted: " + requirement.Reason.Explanation()}
	case current == nil:
		return Decision{Mint: true, Fate: FateStays, LastChange: "Minted again: " + requirement.Reason.Explanation()}
	case verdicts.lost(*current):
		return Decision{
			Mint: true, Fate: fateOfDead(verdicts), Dead: true,
			LastChange: fmt.Sprintf("Replaced: token %d %s.", current.ID, describeDeath(*current, verdicts.Lost.How)),
		}
	case !current.SecretKnown:
		return replace("Taken over: token %d was imported, and GitLab does not show its secret again.", current.ID)
	case verdicts.ended(record):
		return replace("Minted again: the wind-down of token %d was over on %s.", current.ID, date(record.EndsAt))
	case len(policy.Changed) > 0:
		return replace("Rotated: token %d was minted with another %s.", current.ID, strings.Join(policy.Changed, ", "))
	case !policy.Schedule.Permanent && current.ExpiresAt.IsZero():
		return replace("Rotated: permanent tokens are no longer wanted, and token %d has no expiry.", current.ID)
	case outlives(policy.Schedule, *current):
		return replace("Rotated: token %d, which expires on %s, would outlive the new limit of %d days.",
			current.ID, date(current.ExpiresAt), policy.Schedule.Lifetime)
	case verdicts.Rotate == current.ID:
		return replace("Rotated: token %d expires on %s.", current.ID, date(current.ExpiresAt))
	case !record.EndsAt.IsZero():
		return Decision{
			Fate: FateStays, WindDown: WindDownCancelled,
			LastChange: "Wind-down cancelled: " + requirement.Reason.Explanation(),
		}
	}
	return Decision{Fate: FateStays}
}

func decideNotRequired(policy Policy, requirement Requirement, record Record, verdicts Verdicts) Decision {
	current := record.Current
	if current == nil {
		return Decision{Fate: FateStays}
	}
	inWindow := verdicts.Rotate == current.ID
	windingDown := !record.EndsAt.IsZero()

	switch {
	case verdicts.lost(*current):
		return Decision{
			Fate: fateOfDead(verdicts), Dead: true,
			LastChange: fmt.Sprintf("Dropped: token %d %s, and none is required.", current.ID, describeDeath(*current, verdicts.Lost.How)),
		}
	case policy.Keep && !inWindow && windingDown:
		return Decision{
			Fate: FateStays, WindDown: WindDownCancelled,
			LastChange: "Wind-down cancelled: the configuration keeps a token that is not required.",
		}
	case policy.Keep && !inWindow:
		return Decision{Fate: FateStays}
	case requirement.AnonymousPull:
		// Credentials leave the cluster first and die later: GitLab refuses dead
		// ones even for a public image.
		return Decision{Fate: FateRetired, LastChange: "Withdrawn: " + requirement.Reason.Explanation()}
	case !windingDown && policy.Keep:
		return Decision{
			Fate: FateStays, WindDown: WindDownStarts,
			LastChange: fmt.Sprintf("Winding down: token %d, which is kept but not required, expires on %s.", current.ID, date(current.ExpiresAt)),
		}
	case !windingDown:
		return Decision{Fate: FateStays, WindDown: WindDownStarts, LastChange: "Winding down: " + requirement.Reason.Explanation()}
	case verdicts.ended(record):
		return Decision{
			Fate:       FateEnded,
			LastChange: fmt.Sprintf("Revoked: the wind-down of token %d was over on %s.", current.ID, date(record.EndsAt)),
		}
	}
	return Decision{Fate: FateStays}
}

func (v Verdicts) lost(current Token) bool {
	return v.Lost != nil && v.Lost.TokenID == current.ID
}

func (v Verdicts) ended(record Record) bool {
	return v.End != nil && v.End.TokenID == record.Current.ID && v.End.EndsAt.Equal(record.EndsAt)
}

// fateOfDead: an expired row would stay in GitLab for ever, so it is deleted like a
// retired one; so is one that GitLab says is deleted, which costs a request and
// loses nothing if a replica was wrong.
func fateOfDead(v Verdicts) Fate {
	if v.Lost.How == DeathRevoked {
		return FateForgotten
	}
	return FateRetired
}

func describeDeath(t Token, how Death) string {
	switch how {
	case DeathDeleted:
		return "was deleted in GitLab"
	case DeathRevoked:
		return "was revoked in GitLab"
	default:
		return "expired on " + date(t.ExpiresAt)
	}
}

// outlives reports whether the token's expiry is beyond what the schedule would
// have given it when it was minted.
func outlives(s Schedule, t Token) bool {
	return !s.Permanent && !t.CreatedAt.IsZero() && t.ExpiresAt.After(s.Expiry(t.CreatedAt))
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// minStrayOverlap is in days.
const minStrayOverlap = 1

// Settle returns the record once the decision is carried out, except for
// revocations: those leave the record one by one, as GitLab confirms them (see
// Without). minted is the new current token of a decision to mint.
func (d Decision) Settle(record Record, now time.Time, schedule Schedule, minted *Token) Record {
	next := record
	next.Retired = slices.Clone(record.Retired)
	now = now.UTC()

	if old := record.Current; old != nil {
		switch d.Fate {
		case FateRetired:
			next.Retired = append(next.Retired, RetiredToken{
				ID: old.ID, RetiredAt: now, RevokeAt: schedule.OverlapEnd(now, old.ExpiresAt), ExpiresAt: old.ExpiresAt,
			})
			next.Current = nil
		case FateForgotten:
			next.Current = nil
		case FateStays, FateEnded:
		}
	}
	// Another run may have published a stray, so it lives on for a while also where
	// replaced tokens do not.
	strays := schedule
	strays.Overlap = max(strays.Overlap, minStrayOverlap)
	for _, stray := range d.Adopt {
		next.Retired = append(next.Retired, RetiredToken{
			ID: stray.TokenID, RetiredAt: now, RevokeAt: strays.OverlapEnd(now, stray.ExpiresAt), ExpiresAt: stray.ExpiresAt,
		})
	}
	if d.Mint {
		next.Current = minted
		next.Generation++
	}
	switch {
	case d.WindDown == WindDownStarts:
		next.EndsAt = schedule.OverlapEnd(now, record.Current.ExpiresAt)
	case d.WindDown == WindDownCancelled, next.Current == nil, d.Mint:
		next.EndsAt = time.Time{}
	}
	return next
}

// DueAfterSettling lists the tokens to revoke after Settle: those whose overlap
// is over, the one whose wind-down is, a dead one, and without any overlap the one
// that was just replaced.
func (d Decision) DueAfterSettling(record Record, schedule Schedule) []int64 {
	due := slices.Clone(d.Revoke)
	if record.Current == nil {
		return due
	}
	replaced := d.Mint && d.Fate == FateRetired && schedule.Overlap == 0
	if replaced || d.Fate == FateEnded || d.Dead && d.Fate == FateRetired {
		due = append(due, record.Current.ID)
	}
	return due
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
