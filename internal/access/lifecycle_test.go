package access_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

var (
	start = time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)

	needed    = access.Requirement{Required: true, Reason: access.ReasonPrivate}
	off       = access.Requirement{Reason: access.ReasonAutoDevOpsDisabled}
	anonymous = access.Requirement{Reason: access.ReasonAnonymousPull, AnonymousPull: true}
	missing   = access.Requirement{Reason: access.ReasonRegistryDisabled, RegistryMissing: true}
)

func schedule(t *testing.T) access.Schedule {
	t.Helper()
	s, err := access.NewSchedule(access.Rotation{}, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// living is a record with token 7, minted at the start.
func living(changes ...func(*access.Record)) access.Record {
	s, _ := access.NewSchedule(access.Rotation{}, false)
	r := access.Record{Generation: 1, Current: &access.Token{
		ID: 7, CreatedAt: start, ExpiresAt: s.Expiry(start), RotateAt: s.RotateAt(start, s.Expiry(start)), SecretKnown: true,
	}}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func windingDown(r *access.Record) { r.EndsAt = start.AddDate(0, 0, 7) }
func imported(r *access.Record) {
	r.Generation, r.Current.CreatedAt, r.Current.SecretKnown = 0, time.Time{}, false
}
func permanent(r *access.Record) { r.Current.ExpiresAt, r.Current.RotateAt = time.Time{}, time.Time{} }
func retired(id int64) func(*access.Record) {
	return func(r *access.Record) {
		r.Retired = append(r.Retired, access.RetiredToken{ID: id, RetiredAt: start, RevokeAt: start.AddDate(0, 0, 7), Status: access.StatusActive})
	}
}

// retiredUntil is a retired token that is due later than others.
func retiredUntil(id int64, at time.Time) func(*access.Record) {
	return func(r *access.Record) {
		r.Retired = append(r.Retired, access.RetiredToken{ID: id, RetiredAt: start, RevokeAt: at, Status: access.StatusActive})
	}
}

// TestDecide has a case for every row of the lifecycle table.
func TestDecide(t *testing.T) {
	t.Parallel()
	standard := access.Policy{Schedule: schedule(t)}
	keep := access.Policy{Schedule: schedule(t), Keep: true}
	forever := access.Policy{Schedule: access.Schedule{Permanent: true, Overlap: 7}}
	short, _ := access.NewSchedule(access.Rotation{ExpirationDays: new(int64(30))}, false)
	long, _ := access.NewSchedule(access.Rotation{ExpirationDays: new(int64(1000))}, false)
	lost := func(status access.Status) access.Observation {
		return access.Observation{Lost: &access.Lost{TokenID: 7, Status: status}}
	}
	nothing := access.Observation{}
	window := access.Observation{AsOf: living().Current.RotateAt}
	week := access.Observation{AsOf: start.AddDate(0, 0, 7)}
	orphans := []access.Orphan{{TokenID: 9}}
	const active = access.StatusActive

	cases := map[string]struct {
		policy      access.Policy
		requirement access.Requirement
		record      access.Record
		seen        access.Observation
		want        access.Decision
		story       string
	}{
		"required, none yet": {
			policy: standard, requirement: needed,
			want: access.Decision{Action: access.ActionMint, Status: active}, story: "Minted: auto_devops_private.",
		},
		"required again after an end": {
			policy: standard, requirement: needed, record: access.Record{Generation: 3},
			want: access.Decision{Action: access.ActionMint, Status: active}, story: "Minted again: ",
		},
		"required, nothing due": {
			policy: standard, requirement: needed, record: living(), seen: nothing,
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"rotation window": {
			policy: standard, requirement: needed, record: living(), seen: window,
			want: access.Decision{Action: access.ActionRotate, Status: active}, story: "Rotated: token 7 expires on 2027-03-10.",
		},
		"rotation window by this machine's clock": {
			policy: standard, requirement: needed, record: living(), seen: access.Observation{Window: 7},
			want: access.Decision{Action: access.ActionRotate, Status: active}, story: "Rotated: token 7 expires on 2027-03-10.",
		},
		"observation about another token": {
			policy: standard, requirement: needed, record: living(),
			seen: access.Observation{AsOf: start, Window: 6, Lost: &access.Lost{TokenID: 6, Status: access.StatusDeleted}},
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"deleted": {
			policy: standard, requirement: needed, record: living(), seen: lost(access.StatusDeleted),
			want: access.Decision{Action: access.ActionReplace, Status: access.StatusDeleted}, story: "Replaced: token 7 was deleted.",
		},
		"revoked by hand": {
			policy: standard, requirement: needed, record: living(), seen: lost(access.StatusRevoked),
			want: access.Decision{Action: access.ActionReplace, Status: access.StatusRevoked}, story: "Replaced: token 7 was revoked.",
		},
		"expired": {
			policy: standard, requirement: needed, record: living(), seen: access.Observation{AsOf: living().Current.ExpiresAt},
			want: access.Decision{Action: access.ActionReplace, Status: access.StatusExpired}, story: "Replaced: token 7 expired on 2027-03-10.",
		},
		"imported": {
			policy: standard, requirement: needed, record: living(imported),
			want: access.Decision{Action: access.ActionTakeOver, Status: active}, story: "Taken over: token 7 was imported",
		},
		"imported, and required again while it winds down": {
			policy: standard, requirement: needed, record: living(imported, windingDown),
			want: access.Decision{Action: access.ActionTakeOver, Status: active}, story: "Taken over: token 7 was imported",
		},
		"arguments changed": {
			policy: access.Policy{Schedule: schedule(t), Changed: []string{"name", "scopes"}}, requirement: needed, record: living(),
			want: access.Decision{Action: access.ActionRotate, Status: active}, story: "Rotated: name, scopes.",
		},
		"sealed from now on": {
			policy: access.Policy{Schedule: schedule(t), Seal: access.SealOn}, requirement: needed, record: living(),
			want: access.Decision{Action: access.ActionSeal, Status: active}, story: "Sealed: token 7 was in the clear.",
		},
		"sealed no longer, and required again": {
			policy: access.Policy{Schedule: schedule(t), Seal: access.SealOff}, requirement: needed, record: living(windingDown),
			want: access.Decision{Action: access.ActionSeal, Status: active}, story: "No longer sealed: ",
		},
		"sealed for others, inside the window": {
			policy: access.Policy{Schedule: schedule(t), Seal: access.SealRecipients}, requirement: needed, record: living(), seen: window,
			want: access.Decision{Action: access.ActionSeal, Status: active}, story: "Sealed again: age_recipients.",
		},
		"sealed for another host, and other arguments": {
			policy: access.Policy{Schedule: schedule(t), Seal: access.SealRegistry, Changed: []string{"name"}}, requirement: needed, record: living(),
			want: access.Decision{Action: access.ActionRotate, Status: active}, story: "Rotated: name.",
		},
		"imported, to be sealed": {
			policy: access.Policy{Schedule: schedule(t), Seal: access.SealOn}, requirement: needed, record: living(imported),
			want: access.Decision{Action: access.ActionTakeOver, Status: active}, story: "Taken over: ",
		},
		"sealed for others, and not required": {
			policy: access.Policy{Schedule: schedule(t), Seal: access.SealRecipients}, requirement: off, record: living(windingDown),
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"permanent no longer": {
			policy: standard, requirement: needed, record: living(permanent),
			want: access.Decision{Action: access.ActionRotate, Status: active}, story: "Rotated: token 7 is permanent.",
		},
		"permanent from now on": {
			policy: forever, requirement: needed, record: living(),
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"permanent from now on, old token in its window": {
			policy: forever, requirement: needed, record: living(), seen: window,
			want: access.Decision{Action: access.ActionRotate, Status: active}, story: "Rotated: ",
		},
		"lifetime shortened": {
			policy: access.Policy{Schedule: short}, requirement: needed, record: living(),
			want:  access.Decision{Action: access.ActionRotate, Status: active},
			story: "Rotated: expiration_days is shorter.",
		},
		"lifetime lengthened": {
			policy: access.Policy{Schedule: long}, requirement: needed, record: living(),
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"no longer required": {
			policy: standard, requirement: off, record: living(),
			want: access.Decision{Action: access.ActionStartWindDown, Status: active}, story: "Winding down: auto_devops_disabled.",
		},
		"winding down, not over": {
			policy: standard, requirement: off, record: living(windingDown),
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"wind-down over": {
			policy: standard, requirement: off, record: living(windingDown), seen: week,
			want: access.Decision{Action: access.ActionEnd, Status: active}, story: "Revoked: wind-down over on 2026-03-17.",
		},
		"a moment before the end": {
			policy: standard, requirement: off, record: living(windingDown), seen: access.Observation{AsOf: start.AddDate(0, 0, 7).Add(-time.Second)},
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"required again in time": {
			policy: standard, requirement: needed, record: living(windingDown),
			want: access.Decision{Action: access.ActionCancelWindDown, Status: active}, story: "Wind-down cancelled: ",
		},
		"required again too late": {
			policy: standard, requirement: needed, record: living(windingDown), seen: week,
			want: access.Decision{Action: access.ActionRotate, Status: active}, story: "Minted again: wind-down over on 2026-03-17.",
		},
		"required again in the rotation window": {
			policy: standard, requirement: needed, record: living(windingDown), seen: access.Observation{Window: 7},
			want: access.Decision{Action: access.ActionRotate, Status: active}, story: "Rotated: ",
		},
		"turned public": {
			policy: standard, requirement: anonymous, record: living(),
			want: access.Decision{Action: access.ActionWithdraw, Status: active}, story: "Withdrawn: ",
		},
		"turned public while winding down": {
			policy: standard, requirement: anonymous, record: living(windingDown),
			want: access.Decision{Action: access.ActionWithdraw, Status: active}, story: "Withdrawn: ",
		},
		"mode never on a public project leaves the cluster first": {
			policy: standard, requirement: access.Requirement{Reason: access.ReasonModeNever, AnonymousPull: true}, record: living(windingDown), seen: week,
			want: access.Decision{Action: access.ActionWithdraw, Status: active}, story: "Withdrawn: ",
		},
		"keep": {
			policy: keep, requirement: off, record: living(),
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"keep, turned public": {
			policy: keep, requirement: anonymous, record: living(),
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"keep, in the window": {
			policy: keep, requirement: off, record: living(), seen: window,
			want:  access.Decision{Action: access.ActionStartWindDown, Status: active},
			story: "Winding down: kept until 2027-03-10.",
		},
		"keep, in the window and already ending": {
			policy: keep, requirement: off, record: living(windingDown), seen: access.Observation{Window: 7},
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"keep, ended": {
			policy: keep, requirement: off, record: living(windingDown), seen: window,
			want: access.Decision{Action: access.ActionEnd, Status: active}, story: "Revoked: ",
		},
		"keep instead of revoke": {
			policy: keep, requirement: off, record: living(windingDown),
			want: access.Decision{Action: access.ActionCancelWindDown, Status: active}, story: "Wind-down cancelled: ",
		},
		"not required and dead": {
			policy: standard, requirement: off, record: living(), seen: lost(access.StatusRevoked),
			want: access.Decision{Action: access.ActionDrop, Status: access.StatusRevoked}, story: "Dropped: token 7 was revoked.",
		},
		"never required": {
			policy: standard, requirement: off,
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"retired token due": {
			policy: standard, requirement: needed, record: living(retired(5), retiredUntil(6, start.AddDate(0, 0, 8))), seen: week,
			want: access.Decision{Action: access.ActionRevoke, Status: active, Revoke: []int64{5}},
		},
		"retired token due while rotating": {
			policy: standard, requirement: needed, record: living(retired(5)), seen: window,
			want: access.Decision{Action: access.ActionRotate, Status: active, Revoke: []int64{5}}, story: "Rotated: ",
		},
		"orphan": {
			policy: standard, requirement: needed, record: living(), seen: access.Observation{Orphans: orphans},
			want: access.Decision{Action: access.ActionRetireOrphan, Status: active, Retire: orphans},
		},
		"orphan and a retired token due": {
			policy: standard, requirement: needed, record: living(retired(5)), seen: access.Observation{AsOf: week.AsOf, Orphans: orphans},
			want: access.Decision{Action: access.ActionRetireOrphan, Status: active, Revoke: []int64{5}, Retire: orphans},
		},
		"orphan that is known by now": {
			policy: standard, requirement: needed, record: living(retired(9)), seen: access.Observation{Orphans: orphans},
			want: access.Decision{Action: access.ActionNone, Status: active},
		},
		"registry missing holds everything": {
			policy: standard, requirement: missing, record: living(retired(5)), seen: access.Observation{AsOf: window.AsOf, Orphans: orphans},
			want: access.Decision{Action: access.ActionHold, Status: active},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := access.Decide(c.policy, c.requirement, c.record, c.seen)
			if !strings.HasPrefix(got.LastChange, c.story) || c.story == "" && got.LastChange != "" {
				t.Errorf("says %q, want %q", got.LastChange, c.story)
			}
			got.LastChange = ""
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// TestOutcome: the whole record after each action, and what is revoked then.
func TestOutcome(t *testing.T) {
	t.Parallel()
	s := schedule(t)
	at := start.AddDate(0, 0, 100)
	fresh := func() *access.Token {
		return &access.Token{ID: 8, CreatedAt: at, ExpiresAt: s.Expiry(at), RotateAt: s.RotateAt(at, s.Expiry(at)), SecretKnown: true}
	}
	current := living().Current
	overlap := access.RetiredToken{ID: 7, RetiredAt: at, RevokeAt: at.AddDate(0, 0, 7), ExpiresAt: current.ExpiresAt, Status: access.StatusActive}
	withStatus := func(t access.RetiredToken, status access.Status) access.RetiredToken {
		t.Status = status
		return t
	}
	cases := map[string]struct {
		decision access.Decision
		record   access.Record
		at       time.Time
		schedule access.Schedule
		want     access.Record
		due      []int64
	}{
		"mint": {
			decision: access.Decision{Action: access.ActionMint}, record: access.Record{Generation: 2},
			want: access.Record{Current: fresh(), Generation: 3},
		},
		"rotate": {
			decision: access.Decision{Action: access.ActionRotate, Status: access.StatusActive, Revoke: []int64{5}}, record: living(retired(5)),
			want: access.Record{Current: fresh(), Generation: 2, Retired: append(living(retired(5)).Retired, overlap)},
			due:  []int64{5},
		},
		"rotate while winding down": {
			decision: access.Decision{Action: access.ActionRotate, Status: access.StatusActive}, record: living(windingDown),
			want: access.Record{Current: fresh(), Generation: 2, Retired: []access.RetiredToken{overlap}},
		},
		"replace a revoked one, which leaves the record": {
			decision: access.Decision{Action: access.ActionReplace, Status: access.StatusRevoked}, record: living(),
			want: access.Record{Current: fresh(), Generation: 2},
		},
		"replace a deleted one, which may live": {
			decision: access.Decision{Action: access.ActionReplace, Status: access.StatusDeleted}, record: living(),
			want: access.Record{Current: fresh(), Generation: 2, Retired: []access.RetiredToken{withStatus(overlap, access.StatusDeleted)}},
		},
		"replace an expired one, beyond its expiry": {
			decision: access.Decision{Action: access.ActionReplace, Status: access.StatusExpired}, record: living(), at: current.ExpiresAt,
			want: access.Record{
				Current: &access.Token{ID: 8, CreatedAt: at, ExpiresAt: s.Expiry(at), RotateAt: s.RotateAt(at, s.Expiry(at)), SecretKnown: true}, Generation: 2,
				Retired: []access.RetiredToken{{
					ID: 7, RetiredAt: current.ExpiresAt, RevokeAt: current.ExpiresAt.AddDate(0, 0, 7), ExpiresAt: current.ExpiresAt, Status: access.StatusExpired,
				}},
			},
		},
		"overlap bounded by the expiry": {
			decision: access.Decision{Action: access.ActionRotate, Status: access.StatusActive}, record: living(), at: current.ExpiresAt.AddDate(0, 0, -1),
			want: access.Record{
				Current: fresh(), Generation: 2,
				Retired: []access.RetiredToken{{
					ID: 7, RetiredAt: current.ExpiresAt.AddDate(0, 0, -1), RevokeAt: current.ExpiresAt, ExpiresAt: current.ExpiresAt, Status: access.StatusActive,
				}},
			},
		},
		"rotate without overlap": {
			decision: access.Decision{Action: access.ActionRotate, Status: access.StatusActive}, record: living(),
			schedule: access.Schedule{Lifetime: s.Lifetime, RotateBefore: s.RotateBefore},
			want: access.Record{Current: fresh(), Generation: 2, Retired: []access.RetiredToken{{
				ID: 7, RetiredAt: at, RevokeAt: at, ExpiresAt: current.ExpiresAt, Status: access.StatusActive,
			}}},
			due: []int64{7},
		},
		"replace a revoked one without overlap, whose row stays": {
			decision: access.Decision{Action: access.ActionReplace, Status: access.StatusRevoked}, record: living(),
			schedule: access.Schedule{Lifetime: s.Lifetime, RotateBefore: s.RotateBefore},
			want:     access.Record{Current: fresh(), Generation: 2},
		},
		"usernames go along": {
			decision: access.Decision{
				Action: access.ActionRotate, Status: access.StatusActive, Retire: []access.Orphan{{TokenID: 9, Username: "orphaned", ExpiresAt: at}},
			},
			record: living(func(r *access.Record) { r.Current.Username = "replaced" }),
			want: access.Record{Current: fresh(), Generation: 2, Retired: []access.RetiredToken{
				{ID: 7, Username: "replaced", RetiredAt: at, RevokeAt: at.AddDate(0, 0, 7), ExpiresAt: current.ExpiresAt, Status: access.StatusActive},
				{ID: 9, Username: "orphaned", RetiredAt: at, RevokeAt: at, ExpiresAt: at, Status: access.StatusActive},
			}},
		},
		"withdraw": {
			decision: access.Decision{Action: access.ActionWithdraw, Status: access.StatusActive}, record: living(windingDown),
			want: access.Record{Generation: 1, Retired: []access.RetiredToken{overlap}},
		},
		"withdraw without overlap keeps what the Secret still holds": {
			decision: access.Decision{Action: access.ActionWithdraw, Status: access.StatusActive}, record: living(),
			schedule: access.Schedule{Lifetime: s.Lifetime, RotateBefore: s.RotateBefore},
			want: access.Record{Generation: 1, Retired: []access.RetiredToken{{
				ID: 7, RetiredAt: at, RevokeAt: at, ExpiresAt: current.ExpiresAt, Status: access.StatusActive,
			}}},
		},
		"drop": {
			decision: access.Decision{Action: access.ActionDrop, Status: access.StatusDeleted}, record: living(),
			want: access.Record{Generation: 1, Retired: []access.RetiredToken{withStatus(overlap, access.StatusDeleted)}},
		},
		"start of a wind-down": {
			decision: access.Decision{Action: access.ActionStartWindDown, Status: access.StatusActive}, record: living(),
			want: access.Record{Generation: 1, Current: current, EndsAt: at.AddDate(0, 0, 7)},
		},
		"cancelled wind-down": {
			decision: access.Decision{Action: access.ActionCancelWindDown, Status: access.StatusActive}, record: living(windingDown),
			want: living(),
		},
		"end": {
			decision: access.Decision{Action: access.ActionEnd, Status: access.StatusActive, Revoke: []int64{5}}, record: living(windingDown, retired(5)),
			want: living(windingDown, retired(5)), due: []int64{5, 7},
		},
		"orphans live until they expire, half a year at most": {
			decision: access.Decision{Action: access.ActionRetireOrphan, Retire: []access.Orphan{{TokenID: 9, ExpiresAt: at.AddDate(2, 0, 0)}, {TokenID: 10}}}, record: living(),
			want: access.Record{Generation: 1, Current: current, Retired: []access.RetiredToken{
				{ID: 9, RetiredAt: at, RevokeAt: at.AddDate(2, 0, 0), ExpiresAt: at.AddDate(2, 0, 0), Status: access.StatusActive},
				{ID: 10, RetiredAt: at, RevokeAt: at.AddDate(0, 0, 182), Status: access.StatusActive},
			}},
		},
		"hold": {
			decision: access.Decision{Action: access.ActionHold}, record: living(retired(5), windingDown), want: living(retired(5), windingDown),
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.at.IsZero() {
				c.at = at
			}
			if c.schedule == (access.Schedule{}) {
				c.schedule = s
			}
			if got := c.decision.Outcome(c.record, c.at, c.schedule, fresh()); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
			if due := c.decision.Due(c.record, c.schedule); !slices.Equal(due, c.due) {
				t.Errorf("due %v, want %v", due, c.due)
			}
		})
	}
}

// TestEffect: every action of the list has an effect of its own kind, so that none can be
// forgotten in the table.
func TestEffect(t *testing.T) {
	t.Parallel()
	unchanged := map[access.Action]bool{access.ActionNone: true, access.ActionHold: true, access.ActionRevoke: true, access.ActionRetireOrphan: true,
		access.ActionPublish: true, access.ActionUnpublish: true}
	for _, action := range access.Actions() {
		if got := action.Effect() == (access.Effect{}); got != unchanged[action] {
			t.Errorf("%s does nothing to the current token: %v, want %v", action, got, unchanged[action])
		}
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	const ours = "autodevops-42-abcdefgh"
	row := func(id int64, change ...func(*access.DeployToken)) access.DeployToken {
		token := access.DeployToken{ID: id, Name: access.DefaultName, Username: ours, Scopes: []string{"read_registry"}, ExpiresAt: living().Current.ExpiresAt}
		for _, c := range change {
			c(&token)
		}
		return token
	}
	revoked := func(token *access.DeployToken) { token.Revoked = true }
	other := func(token *access.DeployToken) { token.Username = "autodevops-42-zzzzzzzz" }
	gitlabs := func(token *access.DeployToken) { token.Name = access.GitLabName }
	seen := func(rows ...access.DeployToken) access.Sighting { return access.Sighting{Tokens: rows} }
	rotateAt, expiresAt, week := living().Current.RotateAt, living().Current.ExpiresAt, start.AddDate(0, 0, 7)

	cases := map[string]struct {
		now    time.Time
		record access.Record
		seen   access.Sighting
		// chosen: the username is the user's own.
		chosen bool
		want   access.Observation
		status access.Status
	}{
		"nothing due": {now: start, record: living(retired(5)), seen: seen(row(7), row(5)), status: access.StatusActive},
		"a second before the window": {
			now: rotateAt.Add(-time.Second), record: living(), seen: seen(row(7)), status: access.StatusActive,
		},
		"the window opens at the instant": {
			now: rotateAt, record: living(), seen: seen(row(7)), want: access.Observation{AsOf: rotateAt}, status: access.StatusActive,
		},
		"and stays the same moment later": {
			now: rotateAt.AddDate(0, 0, 3), record: living(), seen: seen(row(7)), want: access.Observation{AsOf: rotateAt}, status: access.StatusActive,
		},
		"expired by the clock, whatever the API's flag says": {
			now: expiresAt, record: living(), seen: seen(row(7)), want: access.Observation{AsOf: expiresAt}, status: access.StatusExpired,
		},
		"revoked in the settings": {
			now: start, record: living(), seen: seen(row(7, revoked)),
			want: access.Observation{Lost: &access.Lost{TokenID: 7, Status: access.StatusRevoked}}, status: access.StatusRevoked,
		},
		"absent from the list proves nothing": {now: start, record: living(), seen: seen(), status: access.StatusActive},
		"absent, and confirmed": {
			now: start, record: living(), seen: access.Sighting{CurrentGone: true},
			want: access.Observation{Lost: &access.Lost{TokenID: 7, Status: access.StatusDeleted}}, status: access.StatusDeleted,
		},
		"overlap and wind-down over": {
			now: week, record: living(retired(5), windingDown), seen: seen(row(7), row(5)), want: access.Observation{AsOf: week}, status: access.StatusActive,
		},
		"orphans carry our generated username and live": {
			now: start, record: living(), seen: seen(row(7), row(8, revoked), row(9, other), row(10)),
			want: access.Observation{Orphans: []access.Orphan{{TokenID: 10, Username: ours, ExpiresAt: expiresAt}}}, status: access.StatusActive,
		},
		"a username that the user chose marks nothing": {
			now: start, record: living(), seen: seen(row(7), row(10)), chosen: true, status: access.StatusActive,
		},
		"nor does a row without a username": {
			now: start, record: living(), seen: seen(row(7), row(10, func(token *access.DeployToken) { token.Username = "" })), chosen: true,
			status: access.StatusActive,
		},
		"tokens with GitLab's own name": {
			now: start, record: living(retired(5)), seen: seen(row(5, gitlabs), row(7), row(11, gitlabs, other)),
			want: access.Observation{GitLabNamed: []int64{5}}, status: access.StatusActive,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			username := ours
			if c.chosen {
				username = ""
			}
			got := access.Observe(c.now, c.record, c.seen, username)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
			if status := got.Status(*c.record.Current); status != c.status {
				t.Errorf("status %s, want %s", status, c.status)
			}
		})
	}
}

func TestRecord_Seen(t *testing.T) {
	t.Parallel()
	expired := access.DeployToken{ID: 3, ExpiresAt: start}
	got := living(retired(1), retired(2), retired(3), retired(4)).Seen(start, access.Sighting{Tokens: []access.DeployToken{
		{ID: 1, Username: "first"}, {ID: 2, Revoked: true}, expired,
	}})
	var statuses []access.Status
	for _, t := range got.Retired {
		statuses = append(statuses, t.Status)
	}
	want := []access.Status{access.StatusActive, access.StatusRevoked, access.StatusExpired, access.StatusDeleted}
	if !slices.Equal(statuses, want) {
		t.Errorf("got %v, want %v", statuses, want)
	}
	if got.Retired[0].Username != "first" {
		t.Errorf("the username is %q, and a revocation recognises the token by it", got.Retired[0].Username)
	}
}

// TestRecord_Without: with the current token goes the end date of its wind-down.
func TestRecord_Without(t *testing.T) {
	t.Parallel()
	record := living(retired(5), windingDown)
	if got := record.Without(5); !reflect.DeepEqual(got, access.Record{Generation: 1, Current: record.Current, Retired: []access.RetiredToken{}, EndsAt: record.EndsAt}) {
		t.Errorf("without the retired one: %+v", got)
	}
	if got := record.Without(7); got.Current != nil || !got.EndsAt.IsZero() || len(got.Retired) != 1 {
		t.Errorf("without the current one: %+v", got)
	}
}

func TestUnmanaged(t *testing.T) {
	t.Parallel()
	const ours = "autodevops-42-abcdefgh"
	tokens := []access.DeployToken{
		{ID: 7, Name: access.DefaultName, Username: ours},
		{ID: 9, Name: access.DefaultName, Username: "autodevops-42-zzzzzzzz"},
		{ID: 10, Name: access.DefaultName, Username: ours},
		{ID: 11, Name: access.DefaultName, Username: "gitlab+deploy-token-11"},
		{ID: 12, Name: "another name", Username: "x"},
		{ID: 13, Name: access.DefaultName, Username: "revoked", Revoked: true},
		{ID: 14, Name: access.DefaultName, Username: "expired", ExpiresAt: start},
	}
	seen := access.Sighting{Tokens: tokens}
	unmanaged := access.Unmanaged(start, living(), seen, access.DefaultName, ours, "")
	if got := access.IDs(unmanaged); !slices.Equal(got, []int64{9, 11}) {
		t.Errorf("unmanaged: %v", got)
	}
	if got := access.IDs(access.WithoutGenerated(unmanaged, 42)); !slices.Equal(got, []int64{11}) {
		t.Errorf("without generated ones: %v", got)
	}
	chosen := access.Unmanaged(start, living(), seen, "a third name", "", "x")
	if got := access.IDs(chosen); !slices.Equal(got, []int64{12}) {
		t.Errorf("by the chosen username: %v", got)
	}
}
