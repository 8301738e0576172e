package gitlab_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
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

// TestGate_announced: what GitLab announces on every answer is never exceeded.
func TestGate_announced(t *testing.T) {
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

// TestGate_unannounced: the limit of an endpoint is found out by a refusal, which
// closes the endpoint for everybody: a window ends with one refusal for each worker at most.
func TestGate_unannounced(t *testing.T) {
	b := limited(t, gitlabtest.Limits{Project: gitlabtest.Rate{Requests: 30, Per: time.Second}})
	if failed := b.together(200, func(ctx context.Context) error {
		_, err := b.client.Project(ctx, "acme/shop")
		return err
	}); len(failed) > 0 {
		t.Errorf("%d of 200 failed, the first with: %v", len(failed), failed[0])
	}
	if n := b.refused(); n > 70 { // seven windows, ten workers
		t.Errorf("%d requests were refused", n)
	}
}

// TestGate_otherEndpoints: a closed endpoint holds back nothing else.
func TestGate_otherEndpoints(t *testing.T) {
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

// TestGate_refusedBesideThrottle: an endpoint's own refusal is one also where the
// answer tells that the general throttle has room.
func TestGate_refusedBesideThrottle(t *testing.T) {
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

// TestGate_shared: somebody else uses nearly all of the limit for a while. No request
// fails, or runs out of time.
func TestGate_shared(t *testing.T) {
	t.Parallel()
	var (
		mu         sync.Mutex
		windows, n int
		ends       time.Time
		refused    int
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.After(ends) {
			ends, n = now.Add(time.Second), 0
			windows++
		}
		n++
		limit := 40
		if windows < 3 {
			limit = 1 // the rest is somebody else's
		}
		w.Header().Set("Content-Type", "application/json")
		if n > limit {
			refused++
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = fmt.Fprint(w, `{"id":7,"path_with_namespace":"acme/shop"}`)
	}))
	t.Cleanup(server.Close)
	client, err := gitlab.New(gitlab.Options{BaseURL: server.URL, Token: "t", Retries: gitlab.DefaultRetries})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	begun := time.Now()
	failed := b.together(60, func(context.Context) error {
		_, err := client.Project(ctx, "7")
		return err
	})
	if len(failed) > 0 {
		t.Errorf("%d of 60 failed, the first with: %v", len(failed), failed[0])
	}
	t.Logf("60 requests took %s, with %d refusals", time.Since(begun).Round(time.Second), refused)
}

// scripted is a GitLab that gives the answers' headers by hand.
func scripted(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) (client *gitlab.Client, pauses func() []time.Duration) {
	t.Helper()
	t.Parallel()
	b := &bench{T: t}
	var (
		mu sync.Mutex
		n  int
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		number := n
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		answer(number, w, r)
	}))
	t.Cleanup(server.Close)
	client, err := gitlab.New(gitlab.Options{BaseURL: server.URL, Token: "t", Pause: func(d time.Duration) time.Duration {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pauses = append(b.pauses, d)
		return 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	return client, func() []time.Duration {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Clone(b.pauses)
	}
}

func tell(w http.ResponseWriter, left int, resets time.Time) {
	w.Header().Set("RateLimit-Remaining", fmt.Sprint(left))
	w.Header().Set("RateLimit-Reset", fmt.Sprint(resets.Unix()))
}

// TestGate_lateAnswerOfAnOldWindow: what it says of its window says nothing of the
// next, which has already begun.
func TestGate_lateAnswerOfAnOldWindow(t *testing.T) {
	begun := time.Now()
	client, pauses := scripted(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 2 {
			tell(w, 0, begun.Add(10*time.Second)) // of the window before
		} else {
			tell(w, 1999, begun.Add(70*time.Second))
		}
		_, _ = fmt.Fprint(w, "[]")
	})
	for range 3 {
		if _, err := client.DeployTokens(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if made := pauses(); len(made) > 0 {
		t.Errorf("pauses of %v, although 1,999 requests are left", made)
	}
}

// TestGate_anotherThrottle: registry authentication has one of its own.
func TestGate_anotherThrottle(t *testing.T) {
	client, pauses := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/jwt/auth") {
			tell(w, 0, time.Now().Add(50*time.Second))
			_, _ = fmt.Fprint(w, `{"token":"x"}`)
			return
		}
		tell(w, 1999, time.Now().Add(50*time.Second))
		_, _ = fmt.Fprint(w, "[]")
	})
	_ = client.VerifyPull(t.Context(), "acme/shop", "user", "secret") // what it proves is not asked here
	before := len(pauses())
	if _, err := client.DeployTokens(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if made := pauses()[before:]; len(made) > 0 {
		t.Errorf("pauses of %v for the API, which has 1,999 requests left", made)
	}
}

// TestGate_longThrottle: an hour is a period that administrators can set.
func TestGate_longThrottle(t *testing.T) {
	client, _ := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		tell(w, 0, time.Now().Add(50*time.Minute))
		_, _ = fmt.Fprint(w, "[]")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if _, err := client.DeployTokens(ctx, 1); err != nil {
		t.Fatal(err)
	}
	_, err := client.DeployTokens(ctx, 1)
	if e := wantKind(t, err, gitlab.KindTooLate); !strings.Contains(e.Error(), "50m0s") && !strings.Contains(e.Error(), "49m59s") {
		t.Errorf("got %v", e)
	}
}
