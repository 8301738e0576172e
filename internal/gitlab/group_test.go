package gitlab_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// listed calls GroupProjects and counts how often each project came.
func (b *bench) listed(filter gitlab.GroupFilter) (times map[int64]int, err error) {
	times = map[int64]int{}
	err = b.client.GroupProjects(b.Context(), "acme", filter, func(p gitlab.Project) error {
		times[p.ID]++
		return nil
	})
	return times, err
}

func TestGroupProjects(t *testing.T) {
	for name, noTotals := range map[string]bool{"side by side": false, "without totals": true} {
		t.Run(name, func(t *testing.T) {
			b, projects := fleet(t, 450)
			b.gitlab.SetNoTotals(noTotals)
			times, err := b.listed(gitlab.GroupFilter{})
			if err != nil || len(times) != 450 {
				t.Fatalf("%d projects, %v", len(times), err)
			}
			for _, p := range projects {
				if times[p.ID] != 1 {
					t.Errorf("project %s came %d times", p.Path, times[p.ID])
				}
			}
		})
	}
}

func TestGroupProjects_filter(t *testing.T) {
	b, projects := fleet(t, 10) // every other one is in a subgroup
	b.gitlab.SetArchived(projects[0], true)
	for _, c := range []struct {
		filter gitlab.GroupFilter
		want   int
	}{{gitlab.GroupFilter{}, 10}, {gitlab.GroupFilter{DirectOnly: true}, 5}, {gitlab.GroupFilter{WithoutArchived: true}, 9}} {
		if times, err := b.listed(c.filter); err != nil || len(times) != c.want {
			t.Errorf("%+v: %d projects, %v", c.filter, len(times), err)
		}
	}
}

// TestGroupProjects_listMovesWhileRead: a project that is deleted while the pages are read
// moves all others up, and one of them from a page that is still to be read to one
// that has been.
func TestGroupProjects_listMovesWhileRead(t *testing.T) {
	for name, c := range map[string]struct {
		deletions int
		fails     bool
	}{"once": {1, false}, "all the time": {1000, true}} {
		t.Run(name, func(t *testing.T) {
			b, projects := fleet(t, 450)
			var mu sync.Mutex
			deleted := map[int64]bool{}
			b.gitlab.OnAnswer(func(r gitlabtest.Request) {
				mu.Lock()
				defer mu.Unlock()
				if n := len(deleted); r.String() == listGroup && n < c.deletions {
					deleted[projects[n].ID] = true
					b.gitlab.DeleteProject(projects[n])
				}
			})
			times, err := b.listed(gitlab.GroupFilter{})
			if c.fails {
				if err == nil || !strings.Contains(err.Error(), "kept changing") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range projects {
				if times[p.ID] != 1 && !deleted[p.ID] {
					t.Errorf("project %s came %d times", p.Path, times[p.ID])
				}
			}
		})
	}
}

// TestGroupProjects_ends: an error ends the list and is the one that comes out,
// whatever the other pages then say.
func TestGroupProjects_ends(t *testing.T) {
	b, _ := fleet(t, 450)
	enough, seen := errors.New("enough"), 0
	err := b.client.GroupProjects(t.Context(), "acme", gitlab.GroupFilter{}, func(gitlab.Project) error {
		if seen++; seen > 150 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 151 {
		t.Errorf("after %d projects: %v", seen, err)
	}

	err = b.client.GroupProjects(t.Context(), "none", gitlab.GroupFilter{}, func(gitlab.Project) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "404 Group Not Found") {
		t.Errorf("no such group: %v", err)
	}
	b.gitlab.Inject(gitlabtest.Fault{Match: listGroup, Status: 403, Body: `{"message":"403 Forbidden"}`, Skip: 3, Times: gitlabtest.Always})
	if _, err := b.listed(gitlab.GroupFilter{}); !gitlab.IsKind(err, gitlab.KindForbidden) {
		t.Errorf("a page is refused: %v", err)
	}
}

// TestGroupProjects_shortPage: GitLab filters rows after it has cut the page, so that a page can
// be short although more follow.
func TestGroupProjects_shortPage(t *testing.T) {
	client, _ := scripted(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			w.Header().Set("X-Next-Page", fmt.Sprint(n+1))
		}
		_, _ = fmt.Fprintf(w, `[{"id":%d,"path_with_namespace":"acme/app-%d"}]`, n, n)
	})
	n := 0
	err := client.GroupProjects(t.Context(), "acme", gitlab.GroupFilter{}, func(gitlab.Project) error { n++; return nil })
	if err != nil || n != 3 {
		t.Errorf("%d of 3 projects, %v", n, err)
	}
}
