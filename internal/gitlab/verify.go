package gitlab

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const (
	// verifyTries over about verifySpan: a replica that has not seen the token yet refuses it.
	verifyTries = 3
	verifyPause = 2500 * time.Millisecond
	// maxRefusals per process: failed logins count towards a ban of the address
	// (lib/gitlab/auth/ip_rate_limiter.rb), which would lock out the cluster as well if it
	// shares it.
	maxRefusals = 10
)

// VerifyPull proves that the credentials may pull from the repository, by asking
// GitLab for the same short-lived registry token that a cluster asks for
// (app/controllers/jwt_controller.rb). The
// repository is the image prefix without its host.
func (c *Client) VerifyPull(ctx context.Context, repository, username string, secret access.Secret) error {
	action := "prove that the new deploy token pulls " + repository
	report := reporter{root: c.root, redactor: c.redactor.withPair(username, secret)}
	var failure *Error
	for try := range verifyTries {
		if try > 0 {
			if err := sleep(ctx, c.retry.pause(verifyPause)); err != nil {
				return report.noAnswer(action, err)
			}
		}
		if err := c.ban.acquire(ctx); err != nil && ctx.Err() != nil {
			return report.noAnswer(action, err)
		} else if err != nil {
			return &Error{
				Action: action, Kind: KindNotProven, Said: err.Error(),
				Advice: "GitLab bans an address after too many failed logins. Find out why it refuses fresh tokens before applying again.",
				cause:  err,
			}
		}
		got, err := c.askRegistryToken(ctx, repository, username, secret)
		failure = c.judge(report, action, repository, got, err)
		if failure != nil && failure.Status == http.StatusUnauthorized {
			c.ban.refused()
		} else {
			c.ban.release()
		}
		switch {
		case failure == nil:
			return nil
		case failure.Status != http.StatusUnauthorized && failure.Status != http.StatusOK:
			// Asking again changes nothing: retries are already over, or the
			// answer is about something else than the token.
			return failure
		}
	}
	return failure
}

func (c *Client) askRegistryToken(ctx context.Context, repository, username string, secret access.Secret) (answer, error) {
	target := *c.root
	target.Path += "/jwt/auth"
	target.RawQuery = url.Values{
		"service": {"container_registry"},
		"scope":   {"repository:" + repository + ":pull"},
	}.Encode()
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return answer{}, err
	}
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", c.agent)
	req.SetBasicAuth(username, secret.Reveal())
	return c.send(req)
}

// judge returns nil if the answer grants the pull.
func (c *Client) judge(report reporter, action, repository string, got answer, err error) *Error {
	if err != nil {
		failure := report.noAnswer(action, err)
		if failure.Kind == KindOther {
			failure.Kind = KindNotProven
		}
		return failure
	}
	switch {
	case got.status == http.StatusOK && grantsPull(got.body, repository):
		return nil
	case got.status == http.StatusOK:
		return &Error{
			Action: action, Kind: KindNotProven, Status: got.status, Said: "the registry token grants no pull",
			Advice: "If the project was renamed since the plan, plan again. Otherwise check its container registry settings, a group IP allowlist, and an external authorization service.",
		}
	}
	failure := report.refused(action, got)
	failure.Kind = KindNotProven
	switch got.status {
	case http.StatusNotFound:
		failure.Kind = KindNoRegistry
		failure.Advice = "The container registry is off for the GitLab instance, or base_url points to something else."
	case http.StatusUnauthorized:
		failure.Advice = "GitLab does not accept the token that it has just made. An external authorization service can be the cause."
		if c.auth.name == HeaderPrivateToken {
			failure.Advice = "If a proxy in front of GitLab takes the Authorization header for itself, the registry login cannot pass it. Set verify = false."
		}
	case http.StatusForbidden:
		failure.Advice = "GitLab denies the pull; it may have banned this address after failed logins."
	}
	return failure
}

// grantsPull reads the payload of the registry token. Its signature is for the registry to check.
func grantsPull(body []byte, repository string) bool {
	var envelope struct {
		Token string `json:"token"`
	}
	if json.Unmarshal(body, &envelope) != nil {
		return false
	}
	parts := strings.Split(envelope.Token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Access []struct {
			Type    string   `json:"type"`
			Name    string   `json:"name"`
			Actions []string `json:"actions"`
		} `json:"access"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return false
	}
	for _, grant := range claims.Access {
		if grant.Type == "repository" && grant.Name == repository && slices.Contains(grant.Actions, "pull") {
			return true
		}
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// refusals hands out permits for requests that may be refused. A refused request
// keeps its permit, so that no number of resources is refused more often than the limit.
type refusals struct {
	permits chan struct{}
	spent   chan struct{}
	count   atomic.Int64
}

func newRefusals(limit int) *refusals {
	r := &refusals{permits: make(chan struct{}, limit), spent: make(chan struct{})}
	for range limit {
		r.permits <- struct{}{}
	}
	return r
}

func (r *refusals) acquire(ctx context.Context) error {
	select {
	case <-r.permits:
		return nil
	default:
	}
	select {
	case <-r.permits:
		return nil
	case <-r.spent:
		return fmt.Errorf("GitLab refused fresh tokens %d times in this run, so it is not asked again", cap(r.permits))
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *refusals) release() { r.permits <- struct{}{} }

func (r *refusals) refused() {
	if r.count.Add(1) == int64(cap(r.permits)) {
		close(r.spent)
	}
}
