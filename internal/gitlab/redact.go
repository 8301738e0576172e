package gitlab

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strings"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const (
	hidden = "[hidden]"
	// shortestSecret is the length from which a header's value counts as a secret.
	shortestSecret = 4
	// shortestPart is the length from which a part of a secret is hidden: whoever
	// quotes a request may have cut it anywhere.
	shortestPart = 6
)

// looksSecret matches what is a credential by its look: GitLab's token prefixes (see
// "Token prefixes" in GitLab's documentation), age's secret keys, and values under the keys that hold
// secrets, whether or not the text breaks off in the middle.
var looksSecret = regexp.MustCompile(
	`[A-Za-z0-9_]*gl(?:pat|dt|oas|rtr|rt|cbt|ptt|ft|imt|agent|wt|soat|ffct)-[A-Za-z0-9_.=-]*` +
		`|(?i:AGE-SECRET-KEY-)[A-Za-z0-9-]*` +
		`|(?i:(?:token|password|passwd|secret|authorization|auth)\\*"\s*:\s*\\*")[^"\\]*` +
		`|(?i:\b(?:basic|bearer)(?:\s|%20|\+)+)[A-Za-z0-9+/_.=%-]{6,}`)

// secretKey matches the part of looksSecret that is no secret itself.
var secretKey = regexp.MustCompile(`^(?i:(?:token|password|passwd|secret|authorization|auth)\\*"\s*:\s*\\*"|(?:basic|bearer)(?:\s|%20|\+)+)`)

// redactor hides secrets in text that comes from outside, whole or in parts.
type redactor struct {
	whole []string
	parts map[string]bool
}

// newRedactor knows the provider's token, everything in its headers, and other secrets.
func newRedactor(token string, headers map[string]string, others ...string) redactor {
	r := redactor{parts: map[string]bool{}}
	for _, secret := range append([]string{token}, others...) {
		r.add(secret)
	}
	for _, value := range headers {
		r.add(value)
		scheme, credentials, found := strings.Cut(value, " ")
		if !found || !strings.EqualFold(scheme, "basic") {
			continue
		}
		r.add(credentials)
		if pair, err := base64.StdEncoding.DecodeString(credentials); err == nil {
			_, password, _ := strings.Cut(string(pair), ":")
			r.add(string(pair))
			r.add(password)
		}
	}
	return r
}

// withPair is the redactor that also knows a pair of username and password.
func (r redactor) withPair(username string, secret access.Secret) redactor {
	more := redactor{whole: append([]string(nil), r.whole...), parts: map[string]bool{}}
	for part := range r.parts {
		more.parts[part] = true
	}
	pair := []byte(username + ":" + secret.Reveal())
	more.add(secret.Reveal())
	more.add(base64.StdEncoding.EncodeToString(pair))
	more.add(base64.URLEncoding.EncodeToString(pair))
	return more
}

// add makes a secret known, also as it looks in JSON, HTML and URLs.
func (r *redactor) add(secret string) {
	if len(secret) < shortestSecret {
		return
	}
	encoded, _ := json.Marshal(secret)
	for _, form := range []string{secret, strings.Trim(string(encoded), `"`), html.EscapeString(secret), url.QueryEscape(secret), url.PathEscape(secret)} {
		r.whole = append(r.whole, form)
		for i := range len(form) - shortestPart + 1 {
			r.parts[form[i:i+shortestPart]] = true
		}
	}
}

// hide returns the text without the secrets. It must see the whole text: what is cut
// first can no longer be recognised.
func (r redactor) hide(text string) string {
	secret := make([]bool, len(text))
	mark := func(from, to int) {
		for i := from; i < to; i++ {
			secret[i] = true
		}
	}
	for _, whole := range r.whole {
		for from := 0; ; {
			at := strings.Index(text[from:], whole)
			if at < 0 {
				break
			}
			mark(from+at, from+at+len(whole))
			from += at + len(whole)
		}
	}
	for i := range len(text) - shortestPart + 1 {
		if r.parts[text[i:i+shortestPart]] {
			mark(i, i+shortestPart)
		}
	}
	for _, found := range looksSecret.FindAllStringIndex(text, -1) {
		mark(found[0]+len(secretKey.FindString(text[found[0]:found[1]])), found[1])
	}

	var out strings.Builder
	for i := range len(text) {
		if !secret[i] {
			out.WriteByte(text[i])
			continue
		}
		if i == 0 || !secret[i-1] {
			out.WriteString(hidden)
		}
	}
	return out.String()
}
