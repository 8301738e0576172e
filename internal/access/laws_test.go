package access_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// simulation is an access with its GitLab and its cluster. Applies always finish;
// what happens when they do not is tested through the provider itself.
type simulation struct {
	now     time.Time
	tokens  map[int64]*access.DeployToken
	nextID  int64
	record  access.Record
	policy  access.Policy
	mode    access.Mode
	facts   access.Facts
	secret  int64 // the token that the cluster's Secret holds; 0 for none
	killed  map[int64]bool
	outdate bool
	// reseal is what is no longer right about how the credentials are sealed.
	reseal access.SealChange
	// deleteFails: something lets no DELETE through.
	deleteFails bool
	// lagging: the list and the token's own GET do not know the current token, which lives.
	lagging bool
	// orphans are tokens of applies that died, with the moment from which they may go.
	orphans map[int64]time.Time
}

const simulated = "autodevops-1-abcdefgh"

func (s *simulation) mint() *access.Token {
	s.nextID++
	expiresAt := s.policy.Schedule.Expiry(s.now)
	s.tokens[s.nextID] = &access.DeployToken{
		ID: s.nextID, Name: access.DefaultName, Username: simulated, Scopes: []string{access.ScopeReadRegistry}, ExpiresAt: expiresAt,
	}
	return &access.Token{
		ID: s.nextID, CreatedAt: s.now, ExpiresAt: expiresAt, RotateAt: s.policy.Schedule.RotateAt(s.now, expiresAt), SecretKnown: true,
	}
}

func (s *simulation) sighting() access.Sighting {
	var seen access.Sighting
	for _, t := range s.tokens {
		seen.Tokens = append(seen.Tokens, *t)
	}
	if c := s.record.Current; c != nil && s.lagging {
		seen.Tokens = slices.DeleteFunc(seen.Tokens, func(t access.DeployToken) bool { return t.ID == c.ID })
	}
	if c := s.record.Current; c != nil && (s.tokens[c.ID] == nil || s.lagging) {
		seen.CurrentGone = true
	}
	return seen
}

// plan refreshes and decides.
func (s *simulation) plan(t *rapid.T) (access.Requirement, access.Decision) {
	requirement, err := access.Require(s.mode, s.facts)
	if err != nil {
		t.Fatal(err)
	}
	s.record = s.record.Scheduled(s.policy.Schedule)
	observed := access.Observe(s.now, s.record, s.sighting(), simulated)
	policy := s.policy
	if s.outdate && s.record.Current != nil {
		policy.Changed = []string{"scopes"}
	}
	if s.record.Current != nil {
		policy.Seal = s.reseal
	}
	decision := access.Decide(policy, requirement, s.record, observed)
	if again := access.Decide(policy, requirement, s.record, observed); !reflect.DeepEqual(again, decision) {
		t.Fatalf("the same input gave %+v and %+v", decision, again)
	}
	return requirement, decision
}

// apply carries a plan out, revocations before the Secret is updated, as Terraform does.
func (s *simulation) apply(t *rapid.T) {
	requirement, decision := s.plan(t)
	before := s.record
	effect := decision.Action.Effect()
	var fresh *access.Token
	if effect.Mints {
		fresh = s.mint()
	}
	s.record = decision.Outcome(before, s.now, s.policy.Schedule, fresh)
	refused := false
	for _, id := range decision.Due(before, s.policy.Schedule) {
		noOverlap := effect.Mints && s.policy.Schedule.Overlap == 0
		if id == s.secret && s.alive(id) && decision.Action != access.ActionEnd && !noOverlap {
			t.Fatalf("revokes token %d while the Secret holds it: %+v", id, decision)
		}
		if requirement.Required && !effect.Mints && before.Current != nil && id == before.Current.ID {
			t.Fatalf("revokes the current token, which is required, without a replacement")
		}
		if orphan, ok := s.orphans[id]; ok && s.alive(id) && s.now.Before(orphan) {
			t.Fatalf("revokes orphan %d before its end", id)
		}
		if s.deleteFails {
			refused = true
			break // after the first failure nothing more is revoked
		}
		delete(s.tokens, id)
		s.record = s.record.Without(id)
	}
	if effect.Mints {
		s.outdate, s.reseal = false, access.SealStays
	}
	if decision.Action == access.ActionEnd && refused {
		return // the apply fails, and what is published stays
	}

	s.secret = 0
	if effect.Mints || effect.Current == access.CurrentStays && before.Current != nil && before.Current.SecretKnown {
		s.secret = s.record.Current.ID
	}
	if requirement.Required && !requirement.RegistryMissing {
		if s.secret == 0 || !s.alive(s.secret) {
			t.Fatalf("access is required (%s), and the Secret holds token %d, which does not work: %+v", requirement.Reason, s.secret, decision)
		}
	}
	for id := range s.tokens {
		if s.alive(id) && decision.Action != access.ActionHold && !slices.Contains(s.record.TokenIDs(), id) {
			t.Fatalf("live token %d is in no record: %+v", id, decision)
		}
	}
}

func (s *simulation) alive(id int64) bool {
	token := s.tokens[id]
	return token != nil && token.Active(s.now)
}

// TestLaws runs random histories. At every moment a required credential that was
// published works unless somebody else killed it or nobody applied for too long;
// no live token is unknown; nothing lives beyond its bound.
func TestLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &simulation{
			now: start, tokens: map[int64]*access.DeployToken{}, mode: access.ModeAuto, facts: project(), killed: map[int64]bool{},
			orphans: map[int64]time.Time{},
		}
		drawPolicy := func(t *rapid.T) {
			lifetime := rapid.Int64Range(3, 60).Draw(t, "lifetime")
			before := rapid.Int64Range(1, lifetime-1).Draw(t, "before")
			overlap := rapid.Int64Range(0, before).Draw(t, "overlap")
			permanent := rapid.Bool().Draw(t, "permanent")
			rotation := access.Rotation{OverlapDays: &overlap}
			if !permanent {
				rotation.ExpirationDays, rotation.RotateBeforeDays = &lifetime, &before
			}
			schedule, err := access.NewSchedule(rotation, permanent)
			if err != nil {
				t.Fatal(err)
			}
			s.policy = access.Policy{Schedule: schedule, Keep: rapid.Bool().Draw(t, "keep")}
		}
		drawPolicy(t)
		s.apply(t)

		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				s.now = s.now.Add(time.Duration(rapid.Int64Range(1, 40*24).Draw(t, "hours")) * time.Hour)
			},
			"apply":                s.apply,
			"the project changes":  func(t *rapid.T) { s.facts, s.mode = decidable(t), anyMode(t) },
			"the policy changes":   drawPolicy,
			"the arguments change": func(*rapid.T) { s.outdate = true },
			"the sealing changes": func(t *rapid.T) {
				s.reseal = rapid.SampledFrom([]access.SealChange{access.SealOn, access.SealOff, access.SealRecipients, access.SealRegistry}).Draw(t, "seal")
			},
			"somebody kills a token": func(t *rapid.T) {
				if s.nextID == 0 {
					t.Skip("no token yet")
				}
				id := rapid.Int64Range(1, s.nextID).Draw(t, "id")
				if token := s.tokens[id]; token != nil {
					s.killed[id] = true
					if rapid.Bool().Draw(t, "by the API") {
						delete(s.tokens, id)
					} else {
						token.Revoked = true
					}
				}
			},
			"an apply dies after minting": func(t *rapid.T) {
				if _, decision := s.plan(t); decision.Action.Effect().Mints && s.record.Generation > 0 {
					orphan := s.mint()
					s.orphans[orphan.ID] = orphan.ExpiresAt
					if orphan.ExpiresAt.IsZero() {
						s.orphans[orphan.ID] = s.now.AddDate(0, 0, 182)
					}
				}
			},
			"no DELETE gets through": func(t *rapid.T) { s.deleteFails = rapid.Bool().Draw(t, "fails") },
			"an apply while a replica lags": func(t *rapid.T) {
				s.lagging = true
				s.apply(t)
				s.lagging = false
			},
			"": func(t *rapid.T) {
				for _, retired := range s.record.Retired {
					if retired.Status == access.StatusActive && !retired.ExpiresAt.IsZero() && retired.RevokeAt.After(retired.ExpiresAt) {
						t.Fatalf("token %d is revoked after its own end", retired.ID)
					}
				}
				if s.record.Current == nil && !s.record.EndsAt.IsZero() {
					t.Fatal("a wind-down without a token")
				}
			},
		})
	})
}

// decidable draws facts about which a decision can be made.
func decidable(t *rapid.T) access.Facts {
	return access.Facts{
		Visibility:          rapid.SampledFrom(access.Visibilities()).Draw(t, "visibility"),
		RegistryAccessLevel: rapid.SampledFrom(access.RegistryAccessLevels()).Draw(t, "level"),
		AutoDevOps:          new(rapid.Bool().Draw(t, "auto devops")),
		ImagePrefix:         rapid.SampledFrom([]string{prefix, prefix, prefix, ""}).Draw(t, "prefix"),
	}
}

// TestLaws_settles: once applied, the next plan at the same moment has nothing
// left to do but revocations that waited for the Secret.
func TestLaws_settles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &simulation{
			now: start, tokens: map[int64]*access.DeployToken{}, mode: access.ModeAuto, facts: project(),
			policy: access.Policy{Schedule: access.Schedule{Lifetime: 30, RotateBefore: 10, Overlap: 3}},
		}
		s.apply(t)
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			s.now = s.now.Add(time.Duration(rapid.Int64Range(0, 40*24).Draw(t, "hours")) * time.Hour)
			s.facts, s.outdate = decidable(t), rapid.Bool().Draw(t, "arguments change")
			s.reseal = rapid.SampledFrom([]access.SealChange{access.SealStays, access.SealOn}).Draw(t, "seal")
			s.apply(t)
			if s.outdate || s.reseal != access.SealStays {
				continue // not replaced because it is not required; it stays to be
			}
			_, decision := s.plan(t)
			if decision.Changes() && decision.Action != access.ActionRevoke {
				t.Fatalf("not settled: %+v", decision)
			}
		}
	})
}
