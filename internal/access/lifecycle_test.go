package access_test

import (
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
		r.Retired = append(r.Retired, access.RetiredToken{ID: id, RetiredAt: start, RevokeAt: start.AddDate(0, 0, 7)})
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
	lost := func(how access.Death) access.Verdicts {
		return access.Verdicts{Lost: &access.Lost{TokenID: 7, How: how}}
	}

	over := access.Verdicts{End: &access.End{TokenID: 7, EndsAt: start.AddDate(0, 0, 7)}}
	cases := map[string]struct {
		policy      access.Policy
		requirement access.Requirement
		record      access.Record
		verdicts    access.Verdicts
		want        access.Decision
		story       string
	}{
		"required, none yet": {
			standard, needed, access.Record{}, access.Verdicts{},
			access.Decision{Mint: true, Fate: access.FateStays}, "Minted: Auto DevOps deploys a private project",
		},
		"required again after an end": {
			standard, needed, access.Record{Generation: 3}, access.Verdicts{},
			access.Decision{Mint: true, Fate: access.FateStays}, "Minted again: ",
		},
		"required, nothing due": {standard, needed, living(), access.Verdicts{}, access.Decision{Fate: access.FateStays}, ""},
		"rotation window": {
			standard, needed, living(), access.Verdicts{Rotate: 7},
			access.Decision{Mint: true, Fate: access.FateRetired}, "Rotated: token 7 expires on 2027-03-10.",
		},
		"verdict about another token": {standard, needed, living(), access.Verdicts{Rotate: 6, Lost: &access.Lost{TokenID: 6}, Revoke: []int64{6}, End: &access.End{TokenID: 6}}, access.Decision{Fate: access.FateStays}, ""},
		"deleted": {
			standard, needed, living(), lost(access.DeathDeleted),
			access.Decision{Mint: true, Fate: access.FateRetired, Dead: true}, "Replaced: token 7 was deleted in GitLab.",
		},
		"revoked by hand": {
			standard, needed, living(), lost(access.DeathRevoked),
			access.Decision{Mint: true, Fate: access.FateForgotten, Dead: true}, "Replaced: token 7 was revoked in GitLab.",
		},
		"expired": {
			standard, needed, living(), lost(access.DeathExpired),
			access.Decision{Mint: true, Fate: access.FateRetired, Dead: true}, "Replaced: token 7 expired on 2027-03-10.",
		},
		"imported": {
			standard, needed, living(imported), access.Verdicts{},
			access.Decision{Mint: true, Fate: access.FateRetired}, "Taken over: token 7 was imported",
		},
		"arguments changed": {
			access.Policy{Schedule: schedule(t), Changed: []string{"name", "scopes"}}, needed, living(), access.Verdicts{},
			access.Decision{Mint: true, Fate: access.FateRetired}, "Rotated: token 7 was minted with another name, scopes.",
		},
		"permanent no longer": {
			standard, needed, living(permanent), access.Verdicts{},
			access.Decision{Mint: true, Fate: access.FateRetired}, "Rotated: permanent tokens are no longer wanted",
		},
		"permanent from now on": {forever, needed, living(), access.Verdicts{}, access.Decision{Fate: access.FateStays}, ""},
		"permanent from now on, old token in its window": {
			forever, needed, living(), access.Verdicts{Rotate: 7}, access.Decision{Mint: true, Fate: access.FateRetired}, "Rotated: ",
		},
		"lifetime shortened": {
			access.Policy{Schedule: short}, needed, living(), access.Verdicts{},
			access.Decision{Mint: true, Fate: access.FateRetired}, "Rotated: token 7, which expires on 2027-03-10, would outlive the new limit of 30 days.",
		},
		"lifetime lengthened": {access.Policy{Schedule: long}, needed, living(), access.Verdicts{}, access.Decision{Fate: access.FateStays}, ""},
		"no longer required": {
			standard, off, living(), access.Verdicts{},
			access.Decision{Fate: access.FateStays, WindDown: access.WindDownStarts}, "Winding down: Auto DevOps is off",
		},
		"winding down, not over": {standard, off, living(windingDown), access.Verdicts{}, access.Decision{Fate: access.FateStays}, ""},
		"wind-down over": {
			standard, off, living(windingDown), over,
			access.Decision{Fate: access.FateEnded}, "Revoked: the wind-down of token 7 was over on 2026-03-17.",
		},
		"end of an earlier wind-down": {
			standard, off, living(windingDown), access.Verdicts{End: &access.End{TokenID: 7, EndsAt: start}}, access.Decision{Fate: access.FateStays}, "",
		},
		"required again in time": {
			standard, needed, living(windingDown), access.Verdicts{},
			access.Decision{Fate: access.FateStays, WindDown: access.WindDownCancelled}, "Wind-down cancelled: ",
		},
		"required again too late": {
			standard, needed, living(windingDown), over,
			access.Decision{Mint: true, Fate: access.FateRetired}, "Minted again: the wind-down of token 7 was over",
		},
		"required again in the rotation window": {
			standard, needed, living(windingDown), access.Verdicts{Rotate: 7},
			access.Decision{Mint: true, Fate: access.FateRetired}, "Rotated: ",
		},
		"turned public": {standard, anonymous, living(), access.Verdicts{}, access.Decision{Fate: access.FateRetired}, "Withdrawn: "},
		"turned public while winding down": {
			standard, anonymous, living(windingDown), access.Verdicts{}, access.Decision{Fate: access.FateRetired}, "Withdrawn: ",
		},
		"mode never on a public project leaves the cluster first": {
			standard, access.Requirement{Reason: access.ReasonModeNever, AnonymousPull: true}, living(windingDown),
			over, access.Decision{Fate: access.FateRetired}, "Withdrawn: ",
		},
		"keep":                {keep, off, living(), access.Verdicts{}, access.Decision{Fate: access.FateStays}, ""},
		"keep, turned public": {keep, anonymous, living(), access.Verdicts{}, access.Decision{Fate: access.FateStays}, ""},
		"keep, in the window": {
			keep, off, living(), access.Verdicts{Rotate: 7},
			access.Decision{Fate: access.FateStays, WindDown: access.WindDownStarts}, "Winding down: token 7, which is kept but not required, expires on 2027-03-10.",
		},
		"keep, in the window and already ending": {keep, off, living(windingDown), access.Verdicts{Rotate: 7}, access.Decision{Fate: access.FateStays}, ""},
		"keep, ended": {
			keep, off, living(windingDown), access.Verdicts{Rotate: 7, End: over.End},
			access.Decision{Fate: access.FateEnded}, "Revoked: ",
		},
		"keep instead of revoke": {
			keep, off, living(windingDown), access.Verdicts{},
			access.Decision{Fate: access.FateStays, WindDown: access.WindDownCancelled}, "Wind-down cancelled: ",
		},
		"not required and dead": {
			standard, off, living(), lost(access.DeathRevoked),
			access.Decision{Fate: access.FateForgotten, Dead: true}, "Dropped: token 7 was revoked in GitLab",
		},
		"never required": {standard, off, access.Record{}, access.Verdicts{}, access.Decision{Fate: access.FateStays}, ""},
		"retired token due": {
			standard, needed, living(retired(5), retired(6)), access.Verdicts{Revoke: []int64{5}},
			access.Decision{Fate: access.FateStays, Revoke: []int64{5}}, "",
		},
		"retired token due while rotating": {
			standard, needed, living(retired(5)), access.Verdicts{Rotate: 7, Revoke: []int64{5}},
			access.Decision{Mint: true, Fate: access.FateRetired, Revoke: []int64{5}}, "Rotated: ",
		},
		"stray": {
			standard, needed, living(), access.Verdicts{Strays: []access.Stray{{TokenID: 9}}},
			access.Decision{Fate: access.FateStays, Adopt: []access.Stray{{TokenID: 9}}}, "",
		},
		"stray that is known by now": {
			standard, needed, living(retired(9)), access.Verdicts{Strays: []access.Stray{{TokenID: 9}}}, access.Decision{Fate: access.FateStays}, "",
		},
		"registry missing holds everything": {
			standard, missing, living(retired(5)), access.Verdicts{Rotate: 7, Revoke: []int64{5}}, access.Decision{Fate: access.FateStays, Hold: true}, "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := access.Decide(c.policy, c.requirement, c.record, c.verdicts)
			if !strings.HasPrefix(got.LastChange, c.story) || c.story == "" && got.LastChange != "" {
				t.Errorf("says %q, want %q", got.LastChange, c.story)
			}
			got.LastChange = ""
			if got.Mint != c.want.Mint || got.Dead != c.want.Dead || got.Fate != c.want.Fate || got.WindDown != c.want.WindDown || got.Hold != c.want.Hold ||
				!slices.Equal(got.Revoke, c.want.Revoke) || !slices.Equal(got.Adopt, c.want.Adopt) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestSettle_retiresWithOverlapBoundedByExpiry(t *testing.T) {
	t.Parallel()
	s := schedule(t)
	fresh := &access.Token{ID: 8}
	d := access.Decision{Mint: true, Fate: access.FateRetired}

	got := d.Settle(living(), start, s, fresh)
	if got.Current.ID != 8 || got.Generation != 2 || len(got.Retired) != 1 || got.Retired[0].RevokeAt != start.AddDate(0, 0, 7) {
		t.Errorf("got %+v", got)
	}
	late := living().Current.ExpiresAt.AddDate(0, 0, -2)
	if got := d.Settle(living(), late, s, fresh); got.Retired[0].RevokeAt != living().Current.ExpiresAt {
		t.Errorf("the overlap ends at %s, after the token's own end", got.Retired[0].RevokeAt)
	}
}

func TestDueAfterSettling(t *testing.T) {
	t.Parallel()
	withOverlap, without := schedule(t), access.Schedule{Lifetime: 365, RotateBefore: 30}
	rotate := access.Decision{Mint: true, Fate: access.FateRetired, Revoke: []int64{5}}
	record := living(retired(5))

	if got := rotate.DueAfterSettling(record, withOverlap); !slices.Equal(got, []int64{5}) {
		t.Errorf("with an overlap the old token is revoked at once: %v", got)
	}
	if got := rotate.DueAfterSettling(record, without); !slices.Equal(got, []int64{5, 7}) {
		t.Errorf("without an overlap: %v", got)
	}
	withdraw := access.Decision{Fate: access.FateRetired}
	if got := withdraw.DueAfterSettling(record, without); len(got) != 0 {
		t.Errorf("withdrawn credentials die before they have left the cluster: %v", got)
	}
	expired := access.Decision{Mint: true, Fate: access.FateRetired, Dead: true}
	if got := expired.DueAfterSettling(record, withOverlap); !slices.Equal(got, []int64{7}) {
		t.Errorf("a dead token needs no overlap: %v", got)
	}
	if got := (access.Decision{Fate: access.FateEnded}).DueAfterSettling(record, withOverlap); !slices.Equal(got, []int64{7}) {
		t.Errorf("at the end of a wind-down: %v", got)
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
	seen := func(rows ...access.DeployToken) access.Sighting { return access.Sighting{Tokens: rows} }

	t.Run("nothing due", func(t *testing.T) {
		t.Parallel()
		v := access.Observe(start, living(retired(5)), seen(row(7), row(5)), ours)
		if v.Rotate != 0 || v.Lost != nil || len(v.Revoke) != 0 || len(v.Strays) != 0 {
			t.Errorf("got %+v", v)
		}
	})
	t.Run("window opens at the instant", func(t *testing.T) {
		t.Parallel()
		if v := access.Observe(living().Current.RotateAt.Add(-time.Second), living(), seen(row(7)), ours); v.Rotate != 0 {
			t.Error("too early")
		}
		if v := access.Observe(living().Current.RotateAt, living(), seen(row(7)), ours); v.Rotate != 7 {
			t.Error("too late")
		}
	})
	t.Run("expired by the clock, whatever the API's flag says", func(t *testing.T) {
		t.Parallel()
		v := access.Observe(living().Current.ExpiresAt, living(), seen(row(7)), ours)
		if v.Lost == nil || v.Lost.How != access.DeathExpired {
			t.Errorf("got %+v", v.Lost)
		}
	})
	t.Run("revoked in the settings", func(t *testing.T) {
		t.Parallel()
		v := access.Observe(start, living(), seen(row(7, func(token *access.DeployToken) { token.Revoked = true })), ours)
		if v.Lost == nil || v.Lost.How != access.DeathRevoked {
			t.Errorf("got %+v", v.Lost)
		}
	})
	t.Run("absent from the list proves nothing", func(t *testing.T) {
		t.Parallel()
		if v := access.Observe(start, living(), seen(), ours); v.Lost != nil {
			t.Errorf("got %+v", v.Lost)
		}
		if v := access.Observe(start, living(), access.Sighting{CurrentGone: true}, ours); v.Lost == nil || v.Lost.How != access.DeathDeleted {
			t.Errorf("got %+v", v.Lost)
		}
	})
	t.Run("overlap and wind-down over", func(t *testing.T) {
		t.Parallel()
		v := access.Observe(start.AddDate(0, 0, 7), living(retired(5), windingDown), seen(row(7), row(5)), ours)
		if !slices.Equal(v.Revoke, []int64{5}) || v.End == nil || v.End.TokenID != 7 {
			t.Errorf("got %+v", v)
		}
	})
	t.Run("strays carry our generated username and live", func(t *testing.T) {
		t.Parallel()
		dead := row(8, func(token *access.DeployToken) { token.Revoked = true })
		other := row(9, func(token *access.DeployToken) { token.Username = "autodevops-42-zzzzzzzz" })
		v := access.Observe(start, living(), seen(row(7), dead, other, row(10)), ours)
		if len(v.Strays) != 1 || v.Strays[0].TokenID != 10 {
			t.Errorf("got %+v", v.Strays)
		}
		if v := access.Observe(start, living(), seen(row(7), row(10)), ""); len(v.Strays) != 0 {
			t.Errorf("a username that the user chose marks nothing: %+v", v.Strays)
		}
	})
	t.Run("unmanaged and foreign", func(t *testing.T) {
		t.Parallel()
		other := row(9, func(token *access.DeployToken) { token.Username = "autodevops-42-zzzzzzzz" })
		foreign := row(11, func(token *access.DeployToken) { token.Username = "gitlab+deploy-token-11" })
		named := row(12, func(token *access.DeployToken) { token.Username, token.Name = "x", "another name" })
		unmanaged := access.Unmanaged(start, living(), seen(row(7), other, foreign, named, row(10)), access.DefaultName, ours, "")
		if got := access.IDs(unmanaged); !slices.Equal(got, []int64{9, 11}) {
			t.Errorf("unmanaged: %v", got)
		}
		chosen := access.Unmanaged(start, living(), seen(named, foreign), "a third name", "", "x")
		if got := access.IDs(chosen); !slices.Equal(got, []int64{12}) {
			t.Errorf("by the chosen username: %v", got)
		}
		if got := access.Foreign(unmanaged, 42); !slices.Equal(got, []int64{11}) {
			t.Errorf("foreign: %v", got)
		}
	})
}
