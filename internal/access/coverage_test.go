package access_test

import (
	"slices"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// day is a day like any other.
var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestCover(t *testing.T) {
	t.Parallel()
	const project = 7
	ours := access.NewUsername(project)
	base := access.DeployToken{ID: 1, Name: "registry", Username: ours, Scopes: []string{"read_registry"}, ExpiresAt: day.AddDate(0, 0, 30)}
	with := func(edit func(*access.DeployToken)) access.DeployToken {
		token := base
		edit(&token)
		return token
	}
	cases := map[string]struct {
		tokens    []access.DeployToken
		token     int64 // 0: none
		unmanaged []int64
	}{
		"nothing":        {},
		"a working one":  {tokens: []access.DeployToken{base}, token: 1},
		"another name":   {tokens: []access.DeployToken{with(func(t *access.DeployToken) { t.Name = "other" })}},
		"revoked":        {tokens: []access.DeployToken{with(func(t *access.DeployToken) { t.Revoked = true })}},
		"expired":        {tokens: []access.DeployToken{with(func(t *access.DeployToken) { t.ExpiresAt = day })}},
		"another scope":  {tokens: []access.DeployToken{with(func(t *access.DeployToken) { t.Scopes = []string{"read_repository"} })}},
		"the newest":     {tokens: []access.DeployToken{with(func(t *access.DeployToken) { t.ID = 3 }), base}, token: 3},
		"by hand":        {tokens: []access.DeployToken{with(func(t *access.DeployToken) { t.Username = "puller" })}, token: 1, unmanaged: []int64{1}},
		"of another one": {tokens: []access.DeployToken{with(func(t *access.DeployToken) { t.Username = access.NewUsername(8) })}, token: 1, unmanaged: []int64{1}},
		"by hand, and useless for pulling": {tokens: []access.DeployToken{base, with(func(t *access.DeployToken) {
			t.ID, t.Username, t.Scopes = 2, "pusher", []string{"write_registry"}
		})}, token: 1, unmanaged: []int64{2}},
		"by hand, and dead": {tokens: []access.DeployToken{with(func(t *access.DeployToken) { t.Username, t.Revoked = "puller", true })}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := access.Cover(day, project, c.tokens, "registry")
			var id int64
			if got.Token != nil {
				id = got.Token.ID
			}
			if id != c.token || !slices.Equal(got.Unmanaged, c.unmanaged) {
				t.Errorf("token %d, unmanaged %v; want %d, %v", id, got.Unmanaged, c.token, c.unmanaged)
			}
		})
	}
}

func TestCoverage_Expiring(t *testing.T) {
	t.Parallel()
	within := 14 * 24 * time.Hour
	for name, c := range map[string]struct {
		coverage access.Coverage
		want     bool
	}{
		"no token":    {access.Coverage{}, false},
		"permanent":   {access.Coverage{Token: &access.DeployToken{}}, false},
		"in 14 days":  {access.Coverage{Token: &access.DeployToken{ExpiresAt: day.Add(within)}}, true},
		"a bit later": {access.Coverage{Token: &access.DeployToken{ExpiresAt: day.Add(within + time.Second)}}, false},
		"in a moment": {access.Coverage{Token: &access.DeployToken{ExpiresAt: day.Add(time.Second)}}, true},
	} {
		if got := c.coverage.Expiring(day, within); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
