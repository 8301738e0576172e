// Package gitlab is the only place that talks to GitLab. It speaks the words of
// package access to the rest of the provider, and carries the rules by which
// GitLab's answers may be believed.
package gitlab

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

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
	Token string
	// TokenHeader is the header that carries the token: Authorization if empty, or
	// PRIVATE-TOKEN, which GitLab does not accept for OAuth tokens.
	TokenHeader string
	// Now is the machine's clock; time.Now if nil.
	Now       func() time.Time
	UserAgent string
	// Headers are added to every request.
	Headers map[string]string
	// Secrets that the client does not use, and that no message may contain either.
	Secrets []string
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
	reporter

	// api builds requests; send sends them.
	api     *gogitlab.Client
	http    *http.Client
	auth    header
	headers map[string]string
	agent   string
	retry   retryPolicy
	clock   *clock
	ban     *refusals
	shared  *shared
	version memo[version]
	minting locks
}

type header struct{ name, value string }

// The headers in which GitLab takes an access token.
const (
	HeaderAuthorization = "Authorization"
	HeaderPrivateToken  = "PRIVATE-TOKEN"
)

// New returns a client. It makes no request. The error says what is wrong with the base URL.
func New(o Options) (*Client, error) {
	root, err := ParseBaseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	if o.Pause == nil {
		o.Pause = func(d time.Duration) time.Duration { return d }
	}
	if o.Now == nil {
		o.Now = time.Now
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
	clock := &clock{machine: o.Now}
	plain := &http.Client{
		Transport: newGates(wholeAnswers{next: transport, timeout: o.AnswerTimeout, clock: clock}, o.Pause),
		// Credentials go to no other host, and a DELETE that is redirected would
		// come back as a successful GET of some page.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	extra := make([]gogitlab.RequestOptionFunc, 0, len(o.Headers))
	for name, value := range o.Headers {
		extra = append(extra, gogitlab.WithHeader(name, value))
	}
	api, err := gogitlab.NewClient("",
		gogitlab.WithBaseURL(root.String()),
		gogitlab.WithUserAgent(o.UserAgent),
		gogitlab.WithRequestOptions(extra...),
		gogitlab.WithURLWarningLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, fmt.Errorf("configure the GitLab client: %w", err)
	}

	redactor := newRedactor(o.Token, o.Headers, o.Secrets...)
	c := &Client{
		reporter: reporter{root: root, redactor: redactor},

		api: api, http: plain,
		auth:    header{HeaderAuthorization, "Bearer " + o.Token},
		headers: o.Headers,
		agent:   o.UserAgent,
		retry:   retryPolicy{retries: o.Retries, pause: o.Pause, redactor: redactor},
		clock:   clock,
		ban:     newRefusals(maxRefusals),
		shared:  newShared(o.PrefetchGroups),
	}
	if o.TokenHeader == HeaderPrivateToken {
		c.auth = header{HeaderPrivateToken, o.Token}
	}
	return c, nil
}

// Root is the URL of the GitLab, without /api/v4 and a trailing slash.
func (c *Client) Root() string { return c.root.String() }

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
