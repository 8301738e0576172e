// Package gitlab is the only place that talks to GitLab. It speaks the words of
// package access to the rest of the provider, and carries the rules by which
// GitLab's answers may be believed.
package gitlab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"
)

// DefaultRetries is how often a request that may be repeated is repeated.
const DefaultRetries = 5

// maxIdleConnections per host: Terraform works on ten objects at a time by
// default, more with -parallelism, and Go keeps only two connections.
const maxIdleConnections = 100

// Options configure a Client.
type Options struct {
	// BaseURL of GitLab, with or without /api/v4 and a trailing slash.
	BaseURL string
	// Token with the api scope: a personal, project, group or OAuth access token.
	Token     string
	UserAgent string
	// Headers are added to every request.
	Headers map[string]string
	// TLS is nil for the system's defaults.
	TLS *tls.Config
	// Retries of a request that may be repeated; see DefaultRetries.
	Retries int
	// Pause maps a pause before a retry to the one that is made. Tests shorten it. Nil keeps it.
	Pause func(time.Duration) time.Duration
	// PrefetchGroups are full paths of groups whose projects are listed at the first
	// ProjectOnce of one below them.
	PrefetchGroups []string
	// AnswerTimeout bounds the wait for one whole answer; half a minute if zero.
	AnswerTimeout time.Duration
}

// Client talks to one GitLab with one token. It is safe for concurrent use.
type Client struct {
	api     *gogitlab.Client
	root    *url.URL
	auth    *retryablehttp.Client
	headers map[string]string
	agent   string
	pause   func(time.Duration) time.Duration
	ban     *refusals
	redact  func(string) string
	shared  *shared
}

// New returns a client. It makes no request. The error says what is wrong with the base URL.
func New(o Options) (*Client, error) {
	root, err := ParseBaseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	if o.Pause == nil {
		o.Pause = func(d time.Duration) time.Duration { return d }
	}
	if o.AnswerTimeout == 0 {
		o.AnswerTimeout = 30 * time.Second
	}

	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 15 * time.Second,
		TLSClientConfig:     o.TLS,
		ForceAttemptHTTP2:   true,
		// A connection that some gateway has dropped is found out before it costs a request.
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConns:        maxIdleConnections,
		MaxIdleConnsPerHost: maxIdleConnections,
		IdleConnTimeout:     90 * time.Second,
	}
	plain := &http.Client{
		Transport: newPacer(recorder{next: transport, timeout: o.AnswerTimeout}, o.Pause),
		// Credentials go to no other host, and a DELETE that is redirected would
		// come back as a successful GET of some page.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	policy := retryPolicy{retries: o.Retries, pause: o.Pause}

	header := make([]gogitlab.RequestOptionFunc, 0, len(o.Headers))
	for name, value := range o.Headers {
		header = append(header, gogitlab.WithHeader(name, value))
	}
	api, err := gogitlab.NewAuthSourceClient(
		bearer(o.Token),
		gogitlab.WithBaseURL(root.String()),
		gogitlab.WithHTTPClient(plain),
		gogitlab.WithUserAgent(o.UserAgent),
		gogitlab.WithRequestOptions(header...),
		gogitlab.WithCustomRetry(policy.check),
		gogitlab.WithCustomBackoff(policy.backoff),
		gogitlab.WithCustomRetryMax(o.Retries),
		gogitlab.WithCustomLimiter(noLimit{}),
		gogitlab.WithURLWarningLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, fmt.Errorf("configure the GitLab client: %w", err)
	}

	return &Client{
		api:  api,
		root: root,
		auth: &retryablehttp.Client{
			HTTPClient:   plain,
			RetryMax:     o.Retries,
			CheckRetry:   policy.check,
			Backoff:      policy.backoff,
			ErrorHandler: retryablehttp.PassthroughErrorHandler,
		},
		headers: o.Headers,
		agent:   o.UserAgent,
		pause:   o.Pause,
		ban:     newRefusals(maxRefusals),
		redact:  redactor(o),
		shared:  newShared(o.PrefetchGroups),
	}, nil
}

// bearer sends the token in the header that GitLab accepts for access tokens of
// every kind; PRIVATE-TOKEN is not for OAuth tokens.
type bearer string

// Init implements gogitlab.AuthSource.
func (bearer) Init(context.Context, *gogitlab.Client) error { return nil }

// Header implements gogitlab.AuthSource.
func (b bearer) Header(context.Context) (key, value string, err error) {
	return "Authorization", "Bearer " + string(b), nil
}

// redactor hides the client's own credentials in answers that echo them.
func redactor(o Options) func(string) string {
	pairs := []string{}
	for _, value := range append(slices.Collect(maps.Values(o.Headers)), o.Token) {
		if len(value) >= 4 {
			pairs = append(pairs, value, "[hidden]")
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

// ParseBaseURL returns the root of a GitLab, without /api/v4 and a trailing slash.
func ParseBaseURL(raw string) (*url.URL, error) {
	root, err := url.Parse(strings.TrimSpace(raw))
	switch {
	case err != nil:
		// url.Error quotes its input, which could hold a password.
		return nil, errors.New("it is not a URL")
	case root.Scheme != "https" && root.Scheme != "http":
		return nil, errors.New(`it must begin with "https://" or "http://"`)
	case root.Hostname() == "":
		return nil, errors.New("it names no host")
	case root.User != nil:
		return nil, errors.New("it must not contain a user or a password; use the token argument")
	case root.RawQuery != "" || root.Fragment != "":
		return nil, errors.New("it must not contain a query or a fragment")
	}
	root.Path = strings.TrimSuffix(strings.TrimRight(root.Path, "/"), "/api/v4")
	root.Path = strings.TrimRight(root.Path, "/")
	root.RawPath = ""
	return root, nil
}

// Loopback reports whether the URL's host is this machine.
func Loopback(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// TLSConfig builds a TLS configuration from PEM data. It returns nil if nothing
// differs from the system's defaults.
func TLSConfig(ca, certificate, key []byte, insecure bool) (*tls.Config, error) {
	if len(ca) == 0 && len(certificate) == 0 && len(key) == 0 && !insecure {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure} //nolint:gosec // the user's own choice, documented
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the CA file holds no PEM certificate")
		}
	}
	if len(certificate) > 0 || len(key) > 0 {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("the client certificate and key do not fit: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// noLimit: the retry policy honours what the server asks for. The client's own
// limiter would be set up from a header that does not speak of these endpoints.
type noLimit struct{}

// Wait implements gogitlab.RateLimiter.
func (noLimit) Wait(context.Context) error { return nil }

// answer is what came back for a request, success or not.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request makes one API request with its retries. The answer is returned for
// every status; the error is only for no answer at all.
func (c *Client) request(ctx context.Context, method, path string, body any, options ...gogitlab.RequestOptionFunc) (answer, error) {
	ctx, call := withCall(ctx, method)
	options = append(options, gogitlab.WithContext(ctx))
	req, err := c.api.NewRequest(method, path, body, options)
	if err != nil {
		return answer{}, err
	}
	// The client turns statuses into errors and drops the body of a 404, so the
	// recorder's copy is what counts.
	_, err = c.api.Do(req, &bytes.Buffer{})
	return call.result(ctx, err)
}
