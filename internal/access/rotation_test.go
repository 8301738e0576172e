package access_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

func TestNewSchedule(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		rotation                  access.Rotation
		permanent                 bool
		lifetime, before, overlap int64
		invalid                   string
	}{
		"defaults":                          {lifetime: 365, before: 30, overlap: 7},
		"a third of a short lifetime":       {rotation: access.Rotation{ExpirationDays: new(int64(30))}, lifetime: 30, before: 10, overlap: 7},
		"the shortest":                      {rotation: access.Rotation{ExpirationDays: new(int64(3))}, lifetime: 3, before: 1, overlap: 1},
		"overlap follows the window":        {rotation: access.Rotation{RotateBeforeDays: new(int64(2))}, lifetime: 365, before: 2, overlap: 2},
		"no overlap":                        {rotation: access.Rotation{OverlapDays: new(int64(0))}, lifetime: 365, before: 30, overlap: 0},
		"window up to the day of minting":   {rotation: access.Rotation{ExpirationDays: new(int64(10)), RotateBeforeDays: new(int64(9))}, lifetime: 10, before: 9, overlap: 7},
		"permanent":                         {permanent: true, overlap: 7},
		"permanent with an overlap":         {rotation: access.Rotation{OverlapDays: new(int64(60))}, permanent: true, overlap: 60},
		"too short":                         {rotation: access.Rotation{ExpirationDays: new(int64(2))}, invalid: "expiration_days"},
		"beyond GitLab's forever":           {rotation: access.Rotation{ExpirationDays: new(int64(400_000))}, invalid: "expiration_days"},
		"window as long as the lifetime":    {rotation: access.Rotation{ExpirationDays: new(int64(10)), RotateBeforeDays: new(int64(10))}, invalid: "rotate_before_days"},
		"no window":                         {rotation: access.Rotation{RotateBeforeDays: new(int64(0))}, invalid: "rotate_before_days"},
		"overlap beyond the window":         {rotation: access.Rotation{RotateBeforeDays: new(int64(5)), OverlapDays: new(int64(6))}, invalid: "overlap_days"},
		"overlap beyond the default window": {rotation: access.Rotation{ExpirationDays: new(int64(9)), OverlapDays: new(int64(4))}, invalid: "overlap_days"},
		"negative overlap":                  {rotation: access.Rotation{OverlapDays: new(int64(-1))}, invalid: "overlap_days"},
		"spread":                            {rotation: access.Rotation{SpreadDays: new(int64(60))}, lifetime: 365, before: 30, overlap: 7},
		"spread up to the day of minting":   {rotation: access.Rotation{SpreadDays: new(int64(335))}, invalid: "spread_days"},
		"spread of 64 bits":                 {rotation: access.Rotation{SpreadDays: new(int64(math.MaxInt64))}, invalid: "spread_days"},
		"the least of all spreads":          {rotation: access.Rotation{SpreadDays: new(int64(math.MinInt64))}, invalid: "spread_days"},
		"lifetime of 64 bits":               {rotation: access.Rotation{ExpirationDays: new(int64(math.MaxInt64))}, invalid: "expiration_days"},
		"window of 64 bits":                 {rotation: access.Rotation{RotateBeforeDays: new(int64(math.MaxInt64))}, invalid: "rotate_before_days"},
		"overlap of 64 bits":                {rotation: access.Rotation{OverlapDays: new(int64(math.MaxInt64))}, invalid: "overlap_days"},
		"permanent, overlap of 64 bits":     {rotation: access.Rotation{OverlapDays: new(int64(math.MaxInt64))}, permanent: true, invalid: "overlap_days"},
		"negative spread":                   {rotation: access.Rotation{SpreadDays: new(int64(-1))}, invalid: "spread_days"},
		"permanent with a spread":           {rotation: access.Rotation{SpreadDays: new(int64(1))}, permanent: true, invalid: "spread_days"},
		"permanent with a lifetime":         {rotation: access.Rotation{ExpirationDays: new(int64(9))}, permanent: true, invalid: "expiration_days"},
		"permanent with a window":           {rotation: access.Rotation{RotateBeforeDays: new(int64(9))}, permanent: true, invalid: "rotate_before_days"},
		"permanent, negative overlap":       {rotation: access.Rotation{OverlapDays: new(int64(-1))}, permanent: true, invalid: "overlap_days"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := access.NewSchedule(c.rotation, c.permanent)
			var invalid *access.InvalidRotationError
			if c.invalid != "" {
				if !errors.As(err, &invalid) || invalid.Attribute != c.invalid {
					t.Fatalf("got %+v, %v, want an error about %s", got, err, c.invalid)
				}
				return
			}
			if err != nil || got.Lifetime != c.lifetime || got.RotateBefore != c.before || got.Overlap != c.overlap {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestSchedule_expiryIsMidnightUTC(t *testing.T) {
	t.Parallel()
	s, _ := access.NewSchedule(access.Rotation{}, false)
	east := time.FixedZone("east", 5*3600)
	if got := s.Expiry(time.Date(2026, 1, 15, 2, 30, 0, 0, east)); got != time.Date(2027, 1, 14, 0, 0, 0, 0, time.UTC) {
		t.Errorf("got %s: the day counts in UTC", got)
	}
	permanent, _ := access.NewSchedule(access.Rotation{}, true)
	if got := permanent.Expiry(time.Now()); !got.IsZero() {
		t.Errorf("a permanent token expires at %s", got)
	}
}

// TestSchedule_laws: a fresh token is never due at once, the window opens before
// the end, and an overlap never outlives its token.
func TestSchedule_laws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lifetime := rapid.Int64Range(access.MinExpirationDays, 4000).Draw(t, "lifetime")
		before := rapid.Int64Range(1, lifetime-1).Draw(t, "before")
		overlap := rapid.Int64Range(0, before).Draw(t, "overlap")
		s, err := access.NewSchedule(access.Rotation{ExpirationDays: &lifetime, RotateBeforeDays: &before, OverlapDays: &overlap}, false)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "now"), 0).UTC()

		expiresAt := s.Expiry(now)
		life := expiresAt.Sub(now)
		if limit := time.Duration(lifetime) * 24 * time.Hour; life > limit || life <= limit-24*time.Hour {
			t.Fatalf("a token of %d days lives %s", lifetime, life)
		}
		if h, m, sec := expiresAt.Clock(); h+m+sec != 0 {
			t.Fatalf("it expires at %s", expiresAt)
		}
		rotateAt := s.RotateAt(now, expiresAt)
		if !rotateAt.After(now) || !rotateAt.Before(expiresAt) {
			t.Fatalf("minted %s, rotates %s, expires %s", now, rotateAt, expiresAt)
		}
		end := s.OverlapEnd(rotateAt, expiresAt)
		if end.Before(rotateAt) || end.After(expiresAt) {
			t.Fatalf("retired %s, revoked %s, expires %s", rotateAt, end, expiresAt)
		}
	})
}

func TestSchedule_windowOfATokenFromBeforePermanent(t *testing.T) {
	t.Parallel()
	s, _ := access.NewSchedule(access.Rotation{}, true)
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got := s.RotateAt(created, created.AddDate(0, 0, 9)); got != created.AddDate(0, 0, 6) {
		t.Errorf("a token of 9 days rotates at %s", got)
	}
	if got := s.RotateAt(time.Time{}, created); got != created.AddDate(0, 0, -30) {
		t.Errorf("a token of unknown age rotates at %s", got)
	}
	if got := s.RotateAt(created, time.Time{}); !got.IsZero() {
		t.Errorf("a permanent token rotates at %s", got)
	}
}

// TestSchedule_spread: a fleet whose tokens were minted in one hour is replaced over
// all the days of the spread, about as many tokens on each; a project's day never
// changes, and no token is replaced later than without a spread.
func TestSchedule_spread(t *testing.T) {
	t.Parallel()
	minted := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	plain, err := access.NewSchedule(access.Rotation{}, false)
	if err != nil {
		t.Fatal(err)
	}
	spread, err := access.NewSchedule(access.Rotation{SpreadDays: new(int64(29))}, false)
	if err != nil {
		t.Fatal(err)
	}
	expiry := spread.Expiry(minted)
	perDay := map[time.Time]int{}
	for id := int64(1); id <= 3000; id++ {
		at := spread.For(id).RotateAt(minted, expiry)
		if again := spread.For(id).For(id).RotateAt(minted, expiry); !again.Equal(at) {
			t.Fatalf("project %d: %s, then %s", id, at, again)
		}
		if latest := plain.For(id).RotateAt(minted, expiry); at.After(latest) || at.Before(latest.AddDate(0, 0, -29)) {
			t.Fatalf("project %d is rotated on %s, without a spread on %s", id, at, latest)
		}
		perDay[at]++
	}
	if len(perDay) != 30 {
		t.Errorf("%d days", len(perDay))
	}
	for at, n := range perDay {
		if n != 100 {
			t.Errorf("%d of 3000 on %s", n, at)
		}
	}
}

// TestSchedule_anyIntegers: whatever four integers make a schedule, it keeps its
// bounds; the rest is refused by name.
func TestSchedule_anyIntegers(t *testing.T) {
	t.Parallel()
	days := rapid.Ptr(rapid.OneOf(rapid.Int64Range(-1, 40), rapid.Int64Range(math.MaxInt64-40, math.MaxInt64), rapid.Int64()), true)
	rapid.Check(t, func(t *rapid.T) {
		rotation := access.Rotation{
			ExpirationDays: days.Draw(t, "lifetime"), RotateBeforeDays: days.Draw(t, "before"), OverlapDays: days.Draw(t, "overlap"), SpreadDays: days.Draw(t, "spread"),
		}
		s, err := access.NewSchedule(rotation, rapid.Bool().Draw(t, "permanent"))
		if invalid, ok := errors.AsType[*access.InvalidRotationError](err); ok && invalid.Attribute != "" {
			return
		}
		if err != nil || s.Overlap < 0 || s.Overlap > access.MaxExpirationDays {
			t.Fatalf("%+v, %v", s, err)
		}
		if !s.Permanent && (s.Spread < 0 || s.Spread >= s.Lifetime || s.RotateBefore < access.MinRotateBeforeDays || s.For(s.Spread).RotateBefore >= s.Lifetime || s.Lifetime > access.MaxExpirationDays) {
			t.Fatalf("%+v", s)
		}
	})
}
