//go:build linux

package main

import (
	"encoding/base64"
	"strings"
)

const (
	promiseSecrets = "6 no secret is printed" //nolint:gosec // a sentence
	promiseErrors  = "7 a command fails with an error that says why"
)

// checkOutput looks at what the command printed.
func (w *walk) checkOutput(r result) error {
	text := flat(r.text())
	for _, s := range w.gitlab.Secrets() {
		if strings.Contains(text, s) {
			return broken(promiseSecrets, "a secret of GitLab's was printed")
		}
	}
	for _, t := range w.seen {
		if strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(t.Username+":"+t.Secret))) {
			return broken(promiseSecrets, "the encoded credentials of token %d were printed", t.ID)
		}
	}
	for _, crash := range crashes {
		if strings.Contains(text, crash) && !documented(r, crash) {
			return broken(promiseErrors, "the output says %q", crash)
		}
	}
	undisturbed := !r.disturbance.any() && !r.stale && !r.mayFail && !w.publicationRefused(r)
	switch {
	case r.failed && undisturbed:
		return broken(promiseErrors+", and not at all undisturbed", "it failed without a fault: %s", firstError(r.stderr))
	case r.failed && r.killed == "" && !strings.Contains(text, "Error: "):
		return broken(promiseErrors, "it failed with exit code %d and without an error", r.code)
	}
	return nil
}

// crashes are words of Go and of the CLIs about a provider that is wrong.
var crashes = []string{
	"panic:", "goroutine ", "Provider produced inconsistent", "Provider produced invalid", "invalid plan",
	"This is a bug in the provider", "Provider returned invalid",
}

// documented: a creation that was planned from facts which have changed since may
// end in the CLI's own words (3.5).
func documented(r result, crash string) bool {
	creates := r.before.current() == nil || r.replacing()
	return r.stale && creates && (crash == "Provider produced inconsistent" || crash == "This is a bug in the provider")
}

// flat is a text without the frames and line breaks of a CLI.
func flat(text string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╷", " ", "╵", " ").Replace(text)), " ")
}
