package access

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy is what the configuration asks of the tokens of a resource.
type Policy struct {
	Schedule Schedule
	// Keep leaves a token in place that is no longer required (on_not_required = "keep").
	Keep bool
	// Changed names the arguments that the current token was not minted with.
	Changed []string
	// Scope is the environment scope of the CI/CD variables that hold the credentials; empty
	// if none should.
	Scope string
	// EndRetired makes all retired tokens due: the configuration now asks for no overlap.
	EndRetired bool
	// Seal is what is no longer right about how the credentials are sealed.
	Seal SealChange
}

// SealChange is why sealed credentials, or unsealed ones, cannot stay as they are.
type SealChange int

// The reasons for ActionSeal.
const (
	SealStays SealChange = iota
	// SealOn: the secret is, or was, in the state in the clear.
	SealOn
	SealOff
	// SealRecipients: the credentials were sealed for other recipients.
	SealRecipients
	// SealRegistry: the sealed docker config names a host that the registry no longer has.
	SealRegistry
)

// Decision is what happens to the tokens of a resource.
type Decision struct {
	Action Action
	// LastChange says why, for people; empty when the current token's story does not change.
	LastChange string
	// Status is how the current token was found.
	Status Status
	// Revoke lists the retired tokens that are due.
	Revoke []int64
	// Retire lists orphans that are tracked from now on.
	Retire []Orphan
	// Publish: the credentials go into CI/CD variables.
	Publish bool
	// Unpublish: the CI/CD variables of before are removed.
	Unpublish bool
	// unreachable: the variables should hold the new token and cannot, so the old one must
	// live on in them.
	unreachable bool
}

// Changes reports whether the decision does anything.
func (d Decision) Changes() bool { return d.Action != ActionNone && d.Action != ActionHold }

// Retires reports whether the list of retired tokens grows by what only the apply knows.
func (d Decision) Retires() bool {
	return d.Action.Effect().Mints || d.Action.Effect().Current == CurrentRetires || len(d.Retire) > 0
}

// Decide says what happens to the tokens of a resource. It asks no clock: all that
// depends on time is in the observation.
func Decide(policy Policy, requirement Requirement, record Record, seen Observation) Decision {
	d := Decision{Action: ActionNone, Status: StatusActive}
	if record.Current != nil {
		d.Status = seen.Status(*record.Current)
	}
	if record.Current != nil && requirement.RegistryMissing {
		d.Action = ActionHold
		return d
	}
	switch {
	case requirement.Required:
		d.Action, d.LastChange = decideRequired(policy, requirement, record, seen)
	case record.Current != nil:
		d.Action, d.LastChange = decideNotRequired(policy, requirement, record, seen)
	}
	d.decidePublication(policy, requirement, record, seen)
	for _, t := range record.Retired {
		if (seen.passed(t.RevokeAt) || policy.EndRetired) && !d.mustLive(t, record, seen) {
			d.Revoke = append(d.Revoke, t.ID)
		}
	}
	for _, orphan := range seen.Orphans {
		if !record.Owns(orphan.TokenID) {
			d.Retire = append(d.Retire, orphan)
		}
	}
	switch {
	case d.Action != ActionNone:
	case d.Publish:
		d.Action, d.LastChange = ActionPublish, describePublication(record, policy)
	case d.Unpublish:
		d.Action, d.LastChange = ActionUnpublish, describeRemoval(policy)
	case len(d.Retire) > 0:
		d.Action = ActionRetireOrphan
	case len(d.Revoke) > 0:
		d.Action = ActionRevoke
	}
	return d
}

func decideRequired(policy Policy, requirement Requirement, record Record, seen Observation) (Action, string) {
	current := record.Current
	because := string(requirement.Reason) + "."
	switch {
	case current == nil && record.Generation == 0:
		return ActionMint, "Minted: " + because
	case current == nil:
		return ActionMint, "Minted again: " + because
	case seen.Status(*current) != StatusActive:
		return ActionReplace, fmt.Sprintf("Replaced: token %d %s.", current.ID, describeStatus(*current, seen))
	case !current.SecretKnown:
		return ActionTakeOver, fmt.Sprintf("Taken over: token %d was imported.", current.ID)
	case seen.passed(record.EndsAt):
		return ActionRotate, fmt.Sprintf("Minted again: wind-down over on %s.", date(record.EndsAt))
	case len(policy.Changed) > 0:
		return ActionRotate, fmt.Sprintf("Rotated: %s.", strings.Join(policy.Changed, ", "))
	case policy.Seal != SealStays:
		return ActionSeal, describeSeal(policy.Seal, current.ID)
	case !policy.Schedule.Permanent && current.ExpiresAt.IsZero():
		return ActionRotate, fmt.Sprintf("Rotated: token %d is permanent.", current.ID)
	case outlives(policy.Schedule, *current):
		return ActionRotate, "Rotated: expiration_days is shorter."
	case seen.inWindow(*current):
		return ActionRotate, fmt.Sprintf("Rotated: token %d expires on %s.", current.ID, date(current.ExpiresAt))
	case !record.EndsAt.IsZero():
		return ActionCancelWindDown, "Wind-down cancelled: " + because
	}
	return ActionNone, ""
}

func decideNotRequired(policy Policy, requirement Requirement, record Record, seen Observation) (Action, string) {
	current := record.Current
	inWindow := seen.inWindow(*current)
	windingDown := !record.EndsAt.IsZero()
	because := string(requirement.Reason) + "."

	switch {
	case seen.Status(*current) != StatusActive:
		return ActionDrop, fmt.Sprintf("Dropped: token %d %s.", current.ID, describeStatus(*current, seen))
	case policy.Keep && !inWindow && windingDown:
		return ActionCancelWindDown, "Wind-down cancelled: on_not_required."
	case policy.Keep && !inWindow:
		return ActionNone, ""
	case requirement.AnonymousPull:
		// Credentials leave the cluster first and die later: GitLab refuses dead
		// ones even for a public image.
		return ActionWithdraw, "Withdrawn: " + because
	case !windingDown && policy.Keep:
		return ActionStartWindDown, fmt.Sprintf("Winding down: kept until %s.", date(current.ExpiresAt))
	case !windingDown:
		return ActionStartWindDown, "Winding down: " + because
	case seen.passed(record.EndsAt) && !record.holdsOutOfReach(seen):
		return ActionEnd, fmt.Sprintf("Revoked: wind-down over on %s.", date(record.EndsAt))
	}
	return ActionNone, ""
}

func describeStatus(t Token, seen Observation) string {
	switch seen.Status(t) {
	case StatusDeleted:
		return "was deleted"
	case StatusRevoked:
		return "was revoked"
	case StatusActive, StatusExpired:
	}
	return "expired on " + date(t.ExpiresAt)
}

func describeSeal(change SealChange, id int64) string {
	switch change {
	case SealStays:
	case SealOn:
		return fmt.Sprintf("Sealed: token %d was in the clear.", id)
	case SealOff:
		return fmt.Sprintf("No longer sealed: token %d.", id)
	case SealRecipients:
		return "Sealed again: age_recipients."
	case SealRegistry:
		return "Sealed again: the registry has moved."
	}
	return ""
}

// outlives reports whether the token's expiry is beyond what the schedule would
// have given it when it was minted.
func outlives(s Schedule, t Token) bool {
	return !s.Permanent && !t.CreatedAt.IsZero() && t.ExpiresAt.After(s.Expiry(t.CreatedAt))
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Outcome returns the record once the decision is carried out at that time of GitLab's
// clock, except for revocations: those leave the record one by one, as GitLab confirms
// them (see Due and Record.Without). minted is the new current token of an action that
// mints.
func (d Decision) Outcome(record Record, at time.Time, schedule Schedule, minted *Token) Record {
	next := record
	next.Retired = slices.Clone(record.Retired)
	at = at.UTC()
	effect := d.Action.Effect()
	schedule = d.ScheduleOf(record, schedule)
	for i, t := range next.Retired {
		// What could not be revoked stays due.
		if slices.Contains(d.Revoke, t.ID) && at.Before(t.RevokeAt) {
			next.Retired[i].RevokeAt = at
		}
	}

	if old := record.Current; old != nil && effect.Current == CurrentRetires {
		next.Current = nil
		// Only a row that says so is certainly revoked; whatever else looks dead may live.
		if d.Status != StatusRevoked {
			next.Retired = append(next.Retired, retire(*old, at, schedule, d.Status))
		}
	}
	for _, orphan := range d.Retire {
		// Another copy of the state may have published an orphan, so it is never
		// revoked before its own end.
		revokeAt := orphan.ExpiresAt
		if revokeAt.IsZero() {
			revokeAt = at.AddDate(0, 0, unboundedLifeDays)
		}
		next.Retired = append(next.Retired, RetiredToken{
			ID: orphan.TokenID, Username: orphan.Username, RetiredAt: at, RevokeAt: revokeAt, ExpiresAt: orphan.ExpiresAt, Status: StatusActive,
		})
	}
	if effect.Mints {
		next.Current = minted
		next.Generation++
	}
	switch effect.EndDate {
	case EndDateSet:
		next.EndsAt = schedule.OverlapEnd(at, record.Current.ExpiresAt)
	case EndDateCleared:
		next.EndsAt = time.Time{}
	case EndDateStays:
	}
	return next.Scheduled(schedule)
}

// retire gives a replaced token its overlap. The end of one that was believed dead is not
// bounded by its expiry: the belief, or a clock, may be wrong.
func retire(old Token, at time.Time, schedule Schedule, status Status) RetiredToken {
	end := schedule.OverlapEnd(at, old.ExpiresAt)
	if status != StatusActive {
		untilExpiry := schedule.UntilExpiry
		schedule.UntilExpiry = false
		overlap := schedule.OverlapEnd(at, time.Time{})
		if !untilExpiry || overlap.After(end) {
			end = overlap
		}
	}
	return RetiredToken{ID: old.ID, Username: old.Username, RetiredAt: at, RevokeAt: end, ExpiresAt: old.ExpiresAt, Status: status}
}

// ScheduleOf is the schedule by which the current token retires. One that was ever in CI/CD
// variables lives until its expiry unless the configuration asks for no overlap at all.
func (d Decision) ScheduleOf(record Record, s Schedule) Schedule {
	published := record.Current != nil && record.Current.Published && s.Overlap != 0
	if published || d.unreachable {
		s.UntilExpiry = true
	}
	return s
}

// Due lists the tokens to revoke after the outcome: the retired ones that are due, the
// one whose wind-down is over and, without any overlap, the one that was just replaced.
func (d Decision) Due(record Record, schedule Schedule) []int64 {
	due := slices.Clone(d.Revoke)
	if record.Current == nil {
		return due
	}
	effect := d.Action.Effect()
	overlaps := schedule.Overlap != 0 || d.ScheduleOf(record, schedule).UntilExpiry
	replaced := effect.Mints && effect.Current == CurrentRetires && d.Status != StatusRevoked && !overlaps
	if replaced || effect.Current == CurrentEnds {
		due = append(due, record.Current.ID)
	}
	return due
}
