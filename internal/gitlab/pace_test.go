package gitlab_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// limited is a bench whose GitLab has limits, and whose client makes its pauses.
func limited(t *testing.T, limits gitlabtest.Limits) *bench {
	t.Helper()
	t.Parallel()
	b := &bench{T: t, gitlab: gitlabtest.New(t, gitlabtest.WithLimits(limits))}
	b.project = b.gitlab.CreateProject("acme/shop", gitlabtest.ProjectOptions{})
	b.token = b.gitlab.CreateAccessToken(b.gitlab.Maintainer(b.project), "api")
	b.client = b.newClient(func(o *gitlab.Options) { o.Pause = nil })
	return b
}

// together makes n calls by ten workers, as Terraform does.
func (b *bench) together(n int, call func(context.Context) error) (failed []error) {
	b.Helper()
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		left    = n
	)
	for range 10 {
		workers.Go(func() {
			for {
				mu.Lock()
				left--
				done := left < 0
				mu.Unlock()
				if done {
					return
				}
				if err := call(b.Context()); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return failed
}

func (b *bench) refused() int {
	n := 0
	for _, r := range b.gitlab.Requests() {
		if r.Status == http.StatusTooManyRequests {
			n++
		}
	}
	return n
}

// TestPace_announced: what GitLab announces on every answer is never exceeded.
func TestPace_announced(t *testing.T) {
	b := limited(t, gitlabtest.Limits{All: gitlabtest.Rate{Requests: 30, Per: 2 * time.Second}})
	if failed := b.together(80, func(ctx context.Context) error {
		_, err := b.client.DeployTokens(ctx, b.project.ID)
		return err
	}); len(failed) > 0 {
		t.Errorf("%d of 80 failed, the first with: %v", len(failed), failed[0])
	}
	if n := b.refused(); n > 0 {
		t.Errorf("%d requests ran into an announced limit", n)
	}
}

// TestPace_unannounced: the limit of an endpoint is found out by a refusal, which
// holds back everybody; once a whole window has shown it, nobody runs into it again.
func TestPace_unannounced(t *testing.T) {
	b := limited(t, gitlabtest.Limits{Project: gitlabtest.Rate{Requests: 30, Per: time.Second}})
	if failed := b.together(200, func(ctx context.Context) error {
		_, err := b.client.Project(ctx, "acme/shop")
		return err
	}); len(failed) > 0 {
		t.Errorf("%d of 200 failed, the first with: %v", len(failed), failed[0])
	}
	// Seven windows; the first two teach, with at most one refusal for each worker.
	if n := b.refused(); n > 30 {
		t.Errorf("%d requests were refused", n)
	}
}

// TestPace_otherEndpoints: a closed endpoint holds back nothing else.
func TestPace_otherEndpoints(t *testing.T) {
	b := limited(t, gitlabtest.Limits{})
	b.gitlab.Inject(gitlabtest.EndpointLimited(getProject, 600*time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := b.client.Project(ctx, "acme/shop")
	wantKind(t, err, gitlab.KindTooLate)
	// The next one is not even sent: it knows.
	_, err = b.client.Project(ctx, fmt.Sprint(b.project.ID))
	if e := wantKind(t, err, gitlab.KindTooLate); !strings.Contains(e.Error(), "longer than this operation may take") {
		t.Errorf("got %v", e)
	}
	if n := b.gitlab.CountRequests(getProject); n != 1 {
		t.Errorf("%d requests to a closed endpoint", n)
	}
	if _, err := b.client.DeployTokens(ctx, b.project.ID); err != nil {
		t.Error(err)
	}
}

// TestPace_refusedBesideThrottle: an endpoint's own refusal is one also where the
// answer tells that the general throttle has room.
func TestPace_refusedBesideThrottle(t *testing.T) {
	b := limited(t, gitlabtest.Limits{})
	refusal := gitlabtest.EndpointLimited(getProject, 600*time.Second)
	refusal.Header["RateLimit-Remaining"] = "1999"
	refusal.Header["RateLimit-Reset"] = fmt.Sprint(time.Now().Add(time.Minute).Unix())
	b.gitlab.Inject(refusal)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		_, err := b.client.Project(ctx, "acme/shop")
		wantKind(t, err, gitlab.KindTooLate)
	}
	if n := b.gitlab.CountRequests(getProject); n != 1 {
		t.Errorf("%d requests to a closed endpoint", n)
	}
	if _, err := b.client.DeployTokens(ctx, b.project.ID); err != nil {
		t.Error(err)
	}
}
