package access

import (
	"fmt"
	"time"
)

// Defaults and bounds of a rotation, in days.
const (
	DefaultExpirationDays   = 365
	DefaultRotateBeforeDays = 30
	DefaultOverlapDays      = 7
	// MinExpirationDays leaves room for a rotation window inside the lifetime.
	MinExpirationDays = 3
	// MaxExpirationDays keeps expiries far from 3000-01-01, which GitLab reads as "never"
	// (lib/forever.rb).
	MaxExpirationDays = 36500
	// MinRotateBeforeDays leaves a day between the rotation and the expiry.
	MinRotateBeforeDays = 1
)

const day = 24 * time.Hour

// Rotation is the rotation as configured, in whole days; nil means unset.
type Rotation struct {
	ExpirationDays   *int64
	RotateBeforeDays *int64
	OverlapDays      *int64
	SpreadDays       *int64
	// Variables says that the credentials are published in CI/CD variables.
	Variables bool
}

// Schedule is the effective rotation: every default filled in and every rule checked.
type Schedule struct {
	// Permanent tokens are minted without an expiry.
	Permanent bool
	// Lifetime, RotateBefore and Overlap are in days. Lifetime and RotateBefore
	// are meaningless for a permanent token.
	Lifetime     int64
	RotateBefore int64
	Overlap      int64
	// Spread is by how many days the window of a project may open earlier than
	// RotateBefore says; see For.
	Spread int64
	// Variables says that tokens are minted to be published in CI/CD variables.
	Variables bool
	// OtherWindow is RotateBefore for a token that was minted in the other mode, with or
	// without CI/CD variables; 0 for the same. So nothing rotates because the mode changes.
	OtherWindow int64
	// UntilExpiry lets a retired token live until its own expiry, without an overlap: a Secret
	// that a deploy job wrote changes only when the next one writes it.
	UntilExpiry bool
}

// For is the schedule of one project: its window opens earlier by a number of days
// from 0 to Spread, which depends on the project's id alone. So the tokens of a fleet
// that were minted on one day are not all replaced on one day.
func (s Schedule) For(projectID int64) Schedule {
	if s.Spread > 0 && projectID > 0 {
		earlier := projectID % (s.Spread + 1)
		s.RotateBefore += earlier
		if s.OtherWindow > 0 {
			s.OtherWindow += earlier
		}
		s.Spread = 0
	}
	return s
}

// InvalidRotationError names the attribute of the rotation that breaks a rule.
type InvalidRotationError struct {
	Attribute string
	Rule      string
}

func (e *InvalidRotationError) Error() string { return e.Attribute + " " + e.Rule }

// NewSchedule fills in the defaults (365 days; a third of the lifetime, at most
// 30; 7 days, at most the rotation window) and checks the rules. With CI/CD variables,
// the default window is half the lifetime, and the only overlap that can be set is 0. The
// error is an *InvalidRotationError.
func NewSchedule(r Rotation, permanent bool) (Schedule, error) {
	if r.Variables && r.OverlapDays != nil && *r.OverlapDays != 0 {
		return Schedule{}, &InvalidRotationError{
			"overlap_days",
			fmt.Sprintf("must be 0 or left out with ci_variables, where a replaced token lives until it expires; got %d", *r.OverlapDays),
		}
	}
	if permanent {
		return newPermanentSchedule(r)
	}

	s := Schedule{Lifetime: DefaultExpirationDays, Variables: r.Variables, UntilExpiry: r.Variables && r.OverlapDays == nil}
	if r.ExpirationDays != nil {
		s.Lifetime = *r.ExpirationDays
	}
	if s.Lifetime < MinExpirationDays || s.Lifetime > MaxExpirationDays {
		return Schedule{}, &InvalidRotationError{
			"expiration_days",
			fmt.Sprintf("must be between %d and %d, got %d", MinExpirationDays, MaxExpirationDays, s.Lifetime),
		}
	}

	s.RotateBefore, s.OtherWindow = defaultRotateBefore(s.Lifetime), s.Lifetime/2
	if r.Variables {
		s.RotateBefore, s.OtherWindow = s.OtherWindow, s.RotateBefore
	}
	if r.RotateBeforeDays != nil {
		s.RotateBefore, s.OtherWindow = *r.RotateBeforeDays, 0
	}
	if s.RotateBefore < MinRotateBeforeDays || s.RotateBefore >= s.Lifetime {
		return Schedule{}, &InvalidRotationError{
			"rotate_before_days",
			fmt.Sprintf("must be at least %d and less than expiration_days (%d), got %d", MinRotateBeforeDays, s.Lifetime, s.RotateBefore),
		}
	}

	s.Overlap = min(DefaultOverlapDays, s.RotateBefore)
	if r.OverlapDays != nil {
		s.Overlap = *r.OverlapDays
	}
	if s.Overlap < 0 || s.Overlap > s.RotateBefore {
		return Schedule{}, &InvalidRotationError{
			"overlap_days",
			fmt.Sprintf("must be at least 0 and at most rotate_before_days (%s), got %d", describeWindow(r, s), s.Overlap),
		}
	}
	if r.SpreadDays != nil {
		s.Spread = *r.SpreadDays
	}
	// Subtracted rather than added, as a sum with a large spread would overflow.
	if s.Spread < 0 || s.Spread >= s.Lifetime-s.RotateBefore {
		return Schedule{}, &InvalidRotationError{
			"spread_days",
			fmt.Sprintf("must be at least 0, and with rotate_before_days (%s) less than expiration_days (%d), got %d", describeWindow(r, s), s.Lifetime, s.Spread),
		}
	}
	return s, nil
}

func describeWindow(r Rotation, s Schedule) string {
	if r.RotateBeforeDays != nil {
		return fmt.Sprint(s.RotateBefore)
	}
	return fmt.Sprintf("by default %d for a lifetime of %d days", s.RotateBefore, s.Lifetime)
}

func newPermanentSchedule(r Rotation) (Schedule, error) {
	if r.ExpirationDays != nil {
		return Schedule{}, &InvalidRotationError{"expiration_days", "cannot be set for a permanent token"}
	}
	if r.RotateBeforeDays != nil {
		return Schedule{}, &InvalidRotationError{"rotate_before_days", "cannot be set for a permanent token"}
	}
	if r.SpreadDays != nil {
		return Schedule{}, &InvalidRotationError{"spread_days", "cannot be set for a permanent token"}
	}
	s := Schedule{Permanent: true, Overlap: DefaultOverlapDays, Variables: r.Variables, UntilExpiry: r.Variables && r.OverlapDays == nil}
	if r.OverlapDays != nil {
		s.Overlap = *r.OverlapDays
	}
	if s.Overlap < 0 || s.Overlap > MaxExpirationDays {
		return Schedule{}, &InvalidRotationError{
			"overlap_days",
			fmt.Sprintf("must be between 0 and %d, got %d", MaxExpirationDays, s.Overlap),
		}
	}
	return s, nil
}

func defaultRotateBefore(lifetime int64) int64 {
	return max(1, min(DefaultRotateBeforeDays, lifetime/3))
}

// Expiry is the end of a token minted at that time, rounded down to 00:00 UTC:
// GitLab's login check and its "expired" flag agree only there (app/models/deploy_token.rb). Zero for a
// permanent token.
func (s Schedule) Expiry(mintedAt time.Time) time.Time {
	if s.Permanent {
		return time.Time{}
	}
	return mintedAt.UTC().AddDate(0, 0, int(s.Lifetime)).Truncate(day)
}

// RotateAt is when the rotation window of a token that is minted in the schedule's own mode
// opens; zero for a token without an expiry.
func (s Schedule) RotateAt(createdAt, expiresAt time.Time) time.Time {
	return s.WindowOf(Token{CreatedAt: createdAt, ExpiresAt: expiresAt, ForVariables: s.Variables})
}

// WindowOf is when the rotation window of the token opens; zero for a token without an expiry.
func (s Schedule) WindowOf(t Token) time.Time {
	createdAt, expiresAt := t.CreatedAt, t.ExpiresAt
	if expiresAt.IsZero() {
		return time.Time{}
	}
	before := s.RotateBefore
	if s.OtherWindow > 0 && t.ForVariables != s.Variables {
		before = s.OtherWindow
	}
	if s.OtherWindow > 0 && t.ForVariables && !createdAt.IsZero() {
		// Half of its own lifetime: a longer one counts from the next token. The expiry was
		// rounded down.
		earlier := before - s.Lifetime/2
		before = int64((expiresAt.Sub(createdAt)+day-1)/day)/2 + earlier
	}
	if s.Permanent {
		// The token was minted before the configuration asked for permanent ones:
		// its own lifetime gives the window.
		before = DefaultRotateBeforeDays
		if !createdAt.IsZero() {
			before = defaultRotateBefore(int64(expiresAt.Sub(createdAt) / day))
		}
	}
	return expiresAt.UTC().AddDate(0, 0, -int(before))
}

// unboundedLifeDays is for how long a token without an expiry lives on where another one
// would live until its own: half a year, as half of DefaultExpirationDays.
const unboundedLifeDays = DefaultExpirationDays / 2

// OverlapEnd is when a token that is given up at that time may be revoked: after
// the overlap, or when it dies by itself. With UntilExpiry, only when it dies by itself, and
// after half a lifetime if it does not.
func (s Schedule) OverlapEnd(givenUpAt, expiresAt time.Time) time.Time {
	if s.UntilExpiry && expiresAt.IsZero() {
		life := s.Lifetime / 2
		if s.Permanent {
			life = unboundedLifeDays
		}
		return givenUpAt.UTC().AddDate(0, 0, int(life))
	}
	if s.UntilExpiry {
		return expiresAt.UTC()
	}
	end := givenUpAt.UTC().AddDate(0, 0, int(s.Overlap))
	if !expiresAt.IsZero() && expiresAt.Before(end) {
		return expiresAt.UTC()
	}
	return end
}
