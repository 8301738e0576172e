package gitlab_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const listGroup = "GET /groups/:id/projects"

// fleet is a group with n projects in it and in a subgroup, and a client that
// prefetches these groups.
func fleet(t *testing.T, n int, prefetch ...string) (*bench, []*gitlabtest.Project) {
	t.Helper()
	t.Parallel()
	b := &bench{T: t, gitlab: gitlabtest.New(t)}
	group := b.gitlab.CreateGroup("acme", gitlabtest.GroupOptions{AutoDevOps: gitlabtest.True})
	b.gitlab.CreateGroup("acme/platform", gitlabtest.GroupOptions{})
	var projects []*gitlabtest.Project
	for i := range n {
		path := fmt.Sprintf("acme/app-%d", i)
		if i%2 == 1 {
			path = fmt.Sprintf("acme/platform/app-%d", i)
		}
		projects = append(projects, b.gitlab.CreateProject(path, gitlabtest.ProjectOptions{}))
	}
	b.token = b.gitlab.CreateAccessToken(b.gitlab.GroupMember(group, gitlabtest.Maintainer), "api")
	b.client = b.newClient(func(o *gitlab.Options) { o.PrefetchGroups = prefetch })
	return b, projects
}

// readAll reads every project by ten workers, and compares it with what GitLab says of it alone.
func (b *bench) readAll(projects []*gitlabtest.Project, ref func(*gitlabtest.Project) (ref, path string)) {
	b.Helper()
	next := make(chan *gitlabtest.Project, len(projects))
	for _, p := range projects {
		next <- p
	}
	if failed := b.together(len(projects), func(ctx context.Context) error {
		p := <-next
		id, path := ref(p)
		got, err := b.client.ProjectOnce(ctx, id, path)
		if err == nil && (got.ID != p.ID || got.Path != p.Path || got.Facts.Visibility != "private" || got.Facts.AutoDevOps == nil || got.Facts.ImagePrefix == "") {
			err = fmt.Errorf("project %d is read as %+v", p.ID, got)
		}
		return err
	}); len(failed) > 0 {
		b.Fatalf("%d failed, the first with: %v", len(failed), failed[0])
	}
}

func byID(p *gitlabtest.Project) (ref, path string)     { return fmt.Sprint(p.ID), p.Path }
func byPath(p *gitlabtest.Project) (ref, path string)   { return p.Path, "" }
func onlyByID(p *gitlabtest.Project) (ref, path string) { return fmt.Sprint(p.ID), "" }

func TestProjectOnce_prefetch(t *testing.T) {
	for name, ref := range map[string]func(*gitlabtest.Project) (string, string){"by id": byID, "by path": byPath, "by an id alone": onlyByID} {
		t.Run(name, func(t *testing.T) {
			b, projects := fleet(t, 450, "acme")
			b.readAll(projects, ref)
			b.readAll(projects, ref)
			if lists, alone := b.gitlab.CountRequests(listGroup), b.gitlab.CountRequests(getProject); lists != 5 || alone != 0 {
				t.Errorf("%d pages and %d single requests for 450 projects", lists, alone)
			}
		})
	}
}

// TestProjectOnce_unproven: what the list does not tell is asked for alone.
func TestProjectOnce_unproven(t *testing.T) {
	b, projects := fleet(t, 6, "acme")
	elsewhere := b.gitlab.CreateProject("other/app", gitlabtest.ProjectOptions{})
	b.gitlab.LeaveOut(projects[0], "container_registry_image_prefix")
	b.gitlab.LeaveOut(projects[1], "auto_devops_enabled")
	b.gitlab.LeaveOut(projects[2], "visibility")
	b.gitlab.ScheduleDeletion(projects[3]) // lists leave it out
	for _, p := range projects[:4] {
		if _, err := b.client.ProjectOnce(t.Context(), fmt.Sprint(p.ID), "acme/x"); err != nil {
			t.Errorf("project %d: %v", p.ID, err)
		}
	}
	// The user sees nothing outside of the group, so this is a 404 of its own.
	_, err := b.client.ProjectOnce(t.Context(), fmt.Sprint(elsewhere.ID), "other/app")
	wantKind(t, err, gitlab.KindProjectNotFound)
	if lists, alone := b.gitlab.CountRequests(listGroup), b.gitlab.CountRequests(getProject); lists != 1 || alone != 5 {
		t.Errorf("%d pages, %d single requests", lists, alone)
	}
	if got, err := b.client.ProjectOnce(t.Context(), fmt.Sprint(projects[1].ID), "acme/x"); err != nil || got.Facts.AutoDevOps != nil {
		t.Errorf("a hidden flag became %v, %v", got.Facts.AutoDevOps, err)
	}
}

// TestProjectOnce_failures: a group that cannot be listed is said once, and costs
// nothing but requests. A page that fails makes the list worth nothing.
func TestProjectOnce_failures(t *testing.T) {
	for name, fault := range map[string]gitlabtest.Fault{
		"no such group":   {},
		"forbidden":       {Match: listGroup, Status: 403, Body: `{"message":"403 Forbidden"}`, Times: gitlabtest.Always},
		"the third page":  {Match: listGroup, Skip: 2, Status: 403, Times: gitlabtest.Always},
		"a page of HTML":  {Match: listGroup, Status: 200, Body: "<html></html>", Times: gitlabtest.Always},
		"not even a list": {Match: listGroup, Status: 200, Body: "null", Times: gitlabtest.Always},
	} {
		t.Run(name, func(t *testing.T) {
			group := "acme"
			if name == "no such group" {
				group = "acme/platform/missing"
			}
			b, projects := fleet(t, 250, group)
			if fault.Match != "" {
				b.gitlab.Inject(fault)
			}
			b.readAll(projects, func(p *gitlabtest.Project) (string, string) { return fmt.Sprint(p.ID), group + "/x" })
			if alone := b.gitlab.CountRequests(getProject); alone != 250 {
				t.Errorf("%d single requests for 250 projects", alone)
			}
			failures := b.client.PrefetchFailures()
			if len(failures) != 1 || failures[0].Group != group || failures[0].Err == nil {
				t.Errorf("failures: %v", failures)
			}
			if again := b.client.PrefetchFailures(); len(again) != 0 {
				t.Errorf("said again: %v", again)
			}
		})
	}
}

// TestProjectOnce_listWithoutTotals: above 10,000 rows GitLab counts none.
func TestProjectOnce_listWithoutTotals(t *testing.T) {
	b, projects := fleet(t, 250, "acme")
	b.gitlab.SetNoTotals(true)
	b.readAll(projects, byID)
	if lists, alone := b.gitlab.CountRequests(listGroup), b.gitlab.CountRequests(getProject); lists != 3 || alone != 0 {
		t.Errorf("%d pages, %d single requests", lists, alone)
	}
}

// TestProjectOnce_shared: without any setting, one project that several resources
// read is one request; after a failure, and once something is applied, it is not.
func TestProjectOnce_shared(t *testing.T) {
	b, projects := fleet(t, 1)
	b.gitlab.SetLatency(50 * time.Millisecond)
	read := func() {
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := b.client.ProjectOnce(t.Context(), fmt.Sprint(projects[0].ID), "acme/app-0"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	read()
	read()
	if n := b.gitlab.CountRequests(getProject); n != 1 {
		t.Errorf("%d requests for 20 readers", n)
	}
	b.client.Applying()
	b.gitlab.SetVisibility(projects[0], "public")
	got, err := b.client.ProjectOnce(t.Context(), fmt.Sprint(projects[0].ID), "acme/app-0")
	if err != nil || got.Facts.Visibility != "public" {
		t.Errorf("after an apply has begun: %q, %v", got.Facts.Visibility, err)
	}
}

// TestProjectOnce_interrupted: whoever gives up does not take others with it.
func TestProjectOnce_interrupted(t *testing.T) {
	b, projects := fleet(t, 1, "acme")
	b.gitlab.SetLatency(200 * time.Millisecond)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := b.client.ProjectOnce(short, fmt.Sprint(projects[0].ID), "acme/app-0"); err == nil {
			t.Error("read in no time")
		}
	})
	both.Go(func() {
		time.Sleep(20 * time.Millisecond)
		if _, err := b.client.ProjectOnce(t.Context(), fmt.Sprint(projects[0].ID), "acme/app-0"); err != nil {
			t.Errorf("the other's deadline became this one's: %v", err)
		}
	})
	both.Wait()
	if failures := b.client.PrefetchFailures(); len(failures) != 0 {
		t.Errorf("an interruption is no failure of the group: %v", failures)
	}
}
