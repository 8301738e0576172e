package access_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const ourUser = "autodevops-42-abcdefgh"

func ourPair(scope string) access.Variables {
	return access.NewPair(scope, access.Credentials{TokenID: 7, Username: ourUser, Secret: "gldt-secret"}, start)
}

func TestVariables_status(t *testing.T) {
	t.Parallel()
	credentials := access.Credentials{TokenID: 7, Username: ourUser, Secret: "gldt-secret"}
	sealed := access.Credentials{TokenID: 7, Username: ourUser}
	with := func(i int, change func(*access.Variable)) access.Variables {
		pair := ourPair("*")
		change(&pair[i])
		return pair
	}
	tests := map[string]struct {
		variables   access.Variables
		credentials access.Credentials
		want        access.CIStatus
	}{
		"none":                   {nil, credentials, access.CIMissing},
		"both":                   {ourPair("*"), credentials, access.CIPublished},
		"in another scope":       {ourPair("production"), credentials, access.CIMissing},
		"no password":            {ourPair("*")[:1], credentials, access.CIMissing},
		"another secret":         {with(1, func(v *access.Variable) { v.Value = "x" }), credentials, access.CIChanged},
		"another user":           {with(0, func(v *access.Variable) { v.Value = "x" }), credentials, access.CIChanged},
		"protected":              {with(0, func(v *access.Variable) { v.Protected = true }), credentials, access.CIChanged},
		"expanded":               {with(1, func(v *access.Variable) { v.Raw = false }), credentials, access.CIChanged},
		"hidden":                 {with(1, func(v *access.Variable) { v.Hidden, v.Value = true, "" }), credentials, access.CIUnverifiable},
		"another description":    {with(1, func(v *access.Variable) { v.Description = "mine" }), credentials, access.CIPublished},
		"shadowed":               {append(ourPair("*"), access.Variable{Key: access.UserVariable, Scope: "production"}), credentials, access.CIShadowed},
		"not known, described":   {ourPair("*"), sealed, access.CIPublished},
		"not known, another one": {with(1, func(v *access.Variable) { v.Description = "autodevops: token 8, published 2026-01-15T10:00:00Z" }), sealed, access.CIChanged},
		"not known, undescribed": {with(1, func(v *access.Variable) { v.Description = "" }), sealed, access.CIChanged},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.variables.Status("*", c.credentials); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestVariables_outranking(t *testing.T) {
	t.Parallel()
	tests := []struct {
		scope, other string
		wins         bool
	}{
		{"*", "*", false},
		{"*", "production", true},
		{"*", "review/*", true},
		{"production", "*", false},
		{"production", "prod*", false},
		{"review/*", "review/one", true},
		{"review/*", "production", false},
		{"review/*", "*", false},
		{"review/*", "rev*", true},
		{"review/*", "*/one", true},
		{"review/*", "qa/*", false},
		{"review/*/eu", "review/*/us", false},
		{"production", "production", false},
	}
	for _, c := range tests {
		other := access.Variables{{Key: access.PasswordVariable, Scope: c.other}}
		if got := len(other.Outranking(c.scope)) > 0; got != c.wins {
			t.Errorf("%q wins over %q: %v, want %v", c.other, c.scope, got, c.wins)
		}
	}
}

func TestVariables_for(t *testing.T) {
	t.Parallel()
	variables := access.Variables{}
	for _, scope := range []string{"*", "review/*", "review/one", "qa/*", "q*"} {
		variables = append(variables, access.Variable{Key: access.UserVariable, Scope: scope})
	}
	for environment, want := range map[string]string{"production": "*", "review/two": "review/*", "review/one": "review/one", "review": "*"} {
		if got, ok := variables.For(access.UserVariable, environment); !ok || got.Scope != want {
			t.Errorf("%s gets %q, want %q", environment, got.Scope, want)
		}
	}
	if got, ok := variables.For(access.UserVariable, "qa/one"); ok {
		t.Errorf("two patterns match, and %q was chosen", got.Scope)
	}
	if _, ok := variables.For(access.PasswordVariable, "production"); ok {
		t.Error("there is no password")
	}
}

// TestVariables_publishedBy: a variable is removed only by the record that has published it.
func TestVariables_publishedBy(t *testing.T) {
	t.Parallel()
	credentials := access.Credentials{TokenID: 7, Username: ourUser, Secret: "gldt-secret"}
	record := access.Record{
		Current: &access.Token{ID: 7}, Retired: []access.RetiredToken{{ID: 6}},
		Publication: access.Publication{Credentials: []access.Credentials{credentials}},
	}
	with := func(i int, change func(*access.Variable)) access.Variables {
		pair := ourPair("*")
		change(&pair[i])
		return pair
	}
	const current, earlier, foreign = "autodevops: token 7, published 2026-01-15T10:00:00Z", "autodevops: token 6, published 2026-01-15T10:00:00Z", "autodevops: token 9, published 2026-01-15T10:00:00Z"
	tests := map[string]struct {
		variables access.Variables
		own       int
	}{
		"both":                           {ourPair("*"), 2},
		"only the user":                  {ourPair("*")[:1], 1},
		"only the password":              {ourPair("*")[1:], 1},
		"another scope":                  {ourPair("production"), 0},
		"the description is gone":        {with(1, func(v *access.Variable) { v.Description = "" }), 2},
		"a value behind our description": {with(1, func(v *access.Variable) { v.Value, v.Description = "x", current }), 1},
		"a retired token":                {with(1, func(v *access.Variable) { v.Value, v.Description = "gldt-old", earlier }), 2},
		"another object's token":         {with(1, func(v *access.Variable) { v.Value, v.Description = "gldt-new", foreign }), 0},
		"somebody's value":               {with(1, func(v *access.Variable) { v.Value, v.Description = "x", "" }), 1},
		"hidden":                         {with(1, func(v *access.Variable) { v.Value, v.Hidden, v.Description = "", true, current }), 1},
		"another user":                   {with(0, func(v *access.Variable) { v.Value = "x" }), 1},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own, others := c.variables.PublishedBy(record, "*")
			if len(own) != c.own || len(own)+len(others) != len(c.variables.At("*")) {
				t.Errorf("own %d, others %d, want %d own", len(own), len(others), c.own)
			}
		})
	}
}

func TestVariables_conflicts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		variables access.Variables
		taken     int
	}{
		"free":                        {nil, 0},
		"our own pair":                {ourPair("*"), 0},
		"another resource's":          {access.Variables{{Key: access.UserVariable, Scope: "*", Value: "autodevops-42-zzzzzzzz"}}, 0},
		"another project's resource":  {access.Variables{{Key: access.UserVariable, Scope: "*", Value: "autodevops-43-zzzzzzzz"}}, 1},
		"somebody's":                  {access.Variables{{Key: access.UserVariable, Scope: "*", Value: "x"}, {Key: access.PasswordVariable, Scope: "*", Value: "y"}}, 2},
		"a password without a user":   {access.Variables{{Key: access.PasswordVariable, Scope: "*", Value: "y"}}, 1},
		"our password without a user": {ourPair("*")[1:], 0},
		"a hidden user":               {access.Variables{{Key: access.UserVariable, Scope: "*", Hidden: true}}, 1},
		"another scope loses":         {access.Variables{{Key: access.UserVariable, Scope: "*", Value: "x"}}, 1},
	}
	for name, c := range tests {
		if taken, _ := c.variables.Conflicts(access.Record{}, "*", ourUser, 42); len(taken) != c.taken {
			t.Errorf("%s: %d taken, want %d", name, len(taken), c.taken)
		}
	}
}

func TestPair_description(t *testing.T) {
	t.Parallel()
	password, _ := ourPair("*").Find(access.PasswordVariable, "*")
	if id, at, ok := password.Described(); !ok || id != 7 || !at.Equal(start) {
		t.Errorf("%q is read as token %d at %s (%v)", password.Description, id, at, ok)
	}
	for _, other := range []string{"", "mine", "autodevops: token x, published 2026-01-15T10:00:00Z", "autodevops: token 7, published today"} {
		if _, _, ok := (access.Variable{Description: other}).Described(); ok {
			t.Errorf("%q counts as ours", other)
		}
	}
}

// TestSchedule_variables: the window is half the lifetime for tokens that are minted to be
// published, others keep theirs, and a retired token lives until its expiry.
func TestSchedule_variables(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.Int64Range(access.MinExpirationDays, 1000).Draw(t, "expiration_days")
		plain, err := access.NewSchedule(access.Rotation{ExpirationDays: &days}, false)
		if err != nil {
			t.Fatal(err)
		}
		published, err := access.NewSchedule(access.Rotation{ExpirationDays: &days, Variables: true}, false)
		if err != nil {
			t.Fatal(err)
		}
		token := access.Token{CreatedAt: start, ExpiresAt: plain.Expiry(start)}
		if got, want := published.WindowOf(token), plain.WindowOf(token); !got.Equal(want) {
			t.Errorf("adding ci_variables moves the window of an older token from %s to %s", want, got)
		}
		token.ForVariables = true
		if got, want := published.WindowOf(token), token.ExpiresAt.AddDate(0, 0, -int(days/2)); !got.Equal(want) {
			t.Errorf("window %s, want %s", got, want)
		}
		if got := published.OverlapEnd(start, token.ExpiresAt); !got.Equal(token.ExpiresAt) {
			t.Errorf("the retired token ends %s, want %s", got, token.ExpiresAt)
		}
		if got := published.OverlapEnd(start, time.Time{}); !got.Equal(start.AddDate(0, 0, int(days/2))) {
			t.Errorf("a permanent one ends %s", got)
		}
	})
	for _, overlap := range []int64{1, 7} {
		if _, err := access.NewSchedule(access.Rotation{OverlapDays: &overlap, Variables: true}, false); err == nil {
			t.Errorf("overlap_days = %d is accepted", overlap)
		}
	}
	none := int64(0)
	if s, err := access.NewSchedule(access.Rotation{OverlapDays: &none, Variables: true}, false); err != nil || s.UntilExpiry || s.Overlap != 0 {
		t.Errorf("overlap_days = 0: %+v, %v", s, err)
	}
}

// TestSurvey is about what deployments prove. The publication was at noon.
func TestSurvey(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	// job was queued, started and finished at these minutes from noon.
	job := func(name, status string, queued, started, finished int) access.Deployment {
		return access.Deployment{EnvironmentID: 1, Status: status, UpdatedAt: at(finished), Job: &access.DeployJob{
			Name: name, QueuedAt: at(queued), StartedAt: at(started), FinishedAt: at(finished),
		}}
	}
	running := func(queued, started int) access.Deployment {
		d := job("production", "running", queued, started, started)
		d.Job.FinishedAt = time.Time{}
		return d
	}
	history := access.History{
		Published: []access.PublishedToken{{TokenID: 4, From: at(-1000)}, {TokenID: 5, From: noon}},
		Retired:   []access.RetiredToken{{ID: 4, RevokeAt: at(5000)}}, Complete: true,
	}
	republished := history
	republished.RepublishedAt = at(60)
	lost := access.History{Published: history.Published[1:]}
	gitlabs := access.History{Published: history.Published, Complete: true, GitLabToken: true}
	withdrawn := access.History{Published: []access.PublishedToken{{TokenID: 4, From: at(-1000)}, {From: noon}}, Retired: history.Retired, Complete: true}
	again := access.History{Published: append(slices.Clone(withdrawn.Published), access.PublishedToken{TokenID: 6, From: at(500)}), Complete: true}

	tests := map[string]struct {
		rows    []access.Deployment
		history access.History
		stopped bool
		want    access.Holding
		until   time.Time
	}{
		"never deployed":                    {nil, history, false, "", time.Time{}},
		"never with success":                {[]access.Deployment{job("production", "failed", 2, 3, 4)}, history, false, "", time.Time{}},
		"queued a minute later":             {[]access.Deployment{job("production", "success", 1, 2, 3)}, history, false, access.HoldsCurrent, time.Time{}},
		"queued within the minute":          {[]access.Deployment{job("production", "success", 0, 2, 3)}, history, false, access.HoldsUnknown, time.Time{}},
		"started after, queued before":      {[]access.Deployment{job("production", "success", -5, 2, 3)}, history, false, access.HoldsRetired, at(5000)},
		"before the first publication":      {[]access.Deployment{job("staging", "success", -1002, -1001, -1001)}, history, false, access.HoldsJobToken, at(-1001)},
		"before it, GitLab's own token":     {[]access.Deployment{job("staging", "success", -1002, -1001, -1001)}, gitlabs, false, access.HoldsGitLabToken, time.Time{}},
		"before it, and the notes are lost": {[]access.Deployment{job("staging", "success", -5, -4, -3)}, lost, false, access.HoldsUnknown, time.Time{}},
		"a canary writes it":                {[]access.Deployment{job("canary", "success", 2, 3, 4)}, history, false, access.HoldsCurrent, time.Time{}},
		"a timed rollout writes it":         {[]access.Deployment{job("timed rollout 25%", "success", 2, 3, 4)}, history, false, access.HoldsCurrent, time.Time{}},
		"another job proves nothing":        {[]access.Deployment{job("deploy_with_ssh", "success", 2, 3, 4)}, history, false, access.HoldsUnknown, time.Time{}},
		"the job is gone":                   {[]access.Deployment{{EnvironmentID: 1, Status: "success", UpdatedAt: at(5)}}, history, false, access.HoldsUnknown, time.Time{}},
		"an older job still runs":           {[]access.Deployment{job("production", "success", 2, 3, 4), running(-9, -8)}, history, false, access.HoldsUnknown, time.Time{}},
		"an older job failed later":         {[]access.Deployment{job("production", "success", 2, 3, 4), job("production", "failed", -9, -8, 6)}, history, false, access.HoldsUnknown, time.Time{}},
		"an older job failed before":        {[]access.Deployment{job("production", "success", 2, 3, 4), job("production", "failed", -9, -8, 1)}, history, false, access.HoldsCurrent, time.Time{}},
		"and another deployment after it":   {[]access.Deployment{job("production", "success", 2, 3, 4), job("production", "canceled", -9, -8, 6), job("production", "success", 7, 8, 9)}, history, false, access.HoldsCurrent, time.Time{}},
		"a later job is gone":               {[]access.Deployment{job("production", "success", 2, 3, 4), {EnvironmentID: 1, Status: "success", UpdatedAt: at(9)}}, history, false, access.HoldsUnknown, time.Time{}},
		"stopped, and alive":                {[]access.Deployment{job("production", "success", -5, -4, -3)}, history, true, access.HoldsRetired, at(5000)},
		"a stopped review app is gone":      {[]access.Deployment{job("review", "success", -5, -4, -3)}, history, true, "", time.Time{}},
		"deployed before a repair":          {[]access.Deployment{job("production", "success", 30, 31, 32)}, republished, false, access.HoldsUnknown, time.Time{}},
		"deployed after a repair":           {[]access.Deployment{job("production", "success", 62, 63, 64)}, republished, false, access.HoldsCurrent, time.Time{}},
		"deployed before a withdrawal":      {[]access.Deployment{job("production", "success", -5, -4, -3)}, withdrawn, false, access.HoldsRetired, at(5000)},
		"deployed after a withdrawal":       {[]access.Deployment{job("production", "success", 2, 3, 4)}, withdrawn, false, access.HoldsCurrent, time.Time{}},
		"deployed while public":             {[]access.Deployment{job("production", "success", 2, 3, 4)}, again, false, access.HoldsNone, time.Time{}},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := access.Survey([]access.Environment{{ID: 1, Name: "e", Stopped: c.stopped}}, c.rows, c.history)
			switch {
			case c.want == "" && len(got) != 0:
				t.Errorf("got %+v, want none", got)
			case c.want != "" && (len(got) != 1 || got[0].Holds != c.want || !got[0].Until.Equal(c.until)):
				t.Errorf("got %+v, want %s until %s", got, c.want, c.until)
			}
		})
	}
}
