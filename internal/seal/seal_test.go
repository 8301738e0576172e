package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"pgregory.net/rapid"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/seal"
)

// fataler is a test, or one check of a property.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// newKey makes a key pair.
func newKey(t fataler) (secret, public string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity.String(), identity.Recipient().String()
}

func recipients(t fataler, keys ...string) seal.Recipients {
	t.Helper()
	parsed, err := seal.ParseRecipients(keys)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func identities(t fataler, text string) seal.Identities {
	t.Helper()
	parsed, err := seal.ParseIdentities(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func sealFor(t fataler, c seal.Credentials, keys ...string) string {
	t.Helper()
	sealed, err := recipients(t, keys...).Seal(c)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// credentials are drawn with any bytes that are text: a username can be chosen by users.
func drawCredentials(t *rapid.T) seal.Credentials {
	if rapid.Bool().Draw(t, "withdrawn") {
		return seal.Credentials{DockerConfigJSON: access.EmptyDockerConfig}
	}
	c := seal.Credentials{
		Username: rapid.StringN(1, -1, 255).Draw(t, "username"),
		Token:    access.Secret(rapid.StringN(1, -1, 500).Draw(t, "token")),
	}
	c.DockerConfigJSON = access.Secret(access.DockerConfig("registry.example.com:5050", c.Username, c.Token))
	return c
}

// TestSeal_opensForItsRecipientsOnly: each recipient alone opens what was sealed, and
// nobody else does.
func TestSeal_opensForItsRecipientsOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCredentials(t)
		n := rapid.IntRange(1, 4).Draw(t, "recipients")
		secrets, publics := make([]string, n), make([]string, n)
		for i := range n {
			secrets[i], publics[i] = newKey(t)
		}
		sealed := sealFor(t, c, publics...)
		for i, secret := range secrets {
			got, err := identities(t, secret).Open(sealed)
			if err != nil || got != c {
				t.Fatalf("recipient %d: got %#v, %v", i, got, err)
			}
		}
		stranger, _ := newKey(t)
		if _, err := identities(t, stranger).Open(sealed); !errors.Is(err, seal.ErrOtherRecipients) {
			t.Fatalf("a stranger got %v", err)
		}
		// One identity of several is enough, wherever it stands.
		if got, err := identities(t, stranger+"\n"+secrets[n-1]).Open(sealed); err != nil || got != c {
			t.Fatalf("with several identities: %v", err)
		}
	})
}

// TestSeal_hidesEverything: neither the credentials nor parts of them are in the sealed
// value, and two sealings have nothing in common.
func TestSeal_hidesEverything(t *testing.T) {
	t.Parallel()
	_, public := newKey(t)
	c := seal.Credentials{Username: "autodevops-7-abcdefgh", Token: "gldt-0123456789abcdefghij"}
	c.DockerConfigJSON = access.Secret(access.DockerConfig("registry.example.com", c.Username, c.Token))
	first, second := sealFor(t, c, public), sealFor(t, c, public)
	if first == second {
		t.Error("two sealings are the same")
	}
	body := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(first), armor.Header), armor.Footer)
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{c.Username, c.Token.Reveal(), "registry.example.com", "docker_config_json"} {
		if bytes.Contains(raw, []byte(secret)) || strings.Contains(first, base64.StdEncoding.EncodeToString([]byte(secret))) {
			t.Errorf("%s is in the sealed value", secret)
		}
	}
}

// TestOpen_damaged: no part and no change of a sealed value opens, and all is an error.
func TestOpen_damaged(t *testing.T) {
	t.Parallel()
	secret, public := newKey(t)
	c := seal.Credentials{Username: "u", Token: "secret-token", DockerConfigJSON: "{}"}
	sealed := sealFor(t, c, public)
	opener := identities(t, secret)
	end := strings.Index(sealed, armor.Footer)

	rapid.Check(t, func(t *rapid.T) {
		damaged := sealed[:rapid.IntRange(0, end+len(armor.Footer)-1).Draw(t, "cut")]
		if rapid.Bool().Draw(t, "change instead") {
			at := rapid.IntRange(len(armor.Header)+1, end-2).Draw(t, "at")
			by := rapid.SampledFrom([]byte("ABCyz019+/= \n")).Draw(t, "by")
			if sealed[at] == by {
				return
			}
			damaged = sealed[:at] + string(by) + sealed[at+1:]
		}
		if got, err := opener.Open(damaged); err == nil || got != (seal.Credentials{}) {
			t.Fatalf("opened: %q", damaged)
		}
	})
}

func TestOpen_errors(t *testing.T) {
	t.Parallel()
	secret, public := newKey(t)
	other, otherPublic := newKey(t)
	good := seal.Credentials{Username: "u", Token: "gldt-0123456789abcdefghij", DockerConfigJSON: "{}"}
	plain := func(text string) string {
		recipient, err := age.ParseX25519Recipient(public)
		if err != nil {
			t.Fatal(err)
		}
		var sealed strings.Builder
		armored := armor.NewWriter(&sealed)
		w, err := age.Encrypt(armored, recipient)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(text))
		if err := errors.Join(w.Close(), armored.Close()); err != nil {
			t.Fatal(err)
		}
		return sealed.String()
	}
	sealed := sealFor(t, good, public)

	for name, c := range map[string]struct{ value, says string }{
		"empty":                 {"", "not an armored age file"},
		"a docker config":       {`{"auths":{"r":{"password":"gldt-0123456789abcdefghij"}}}`, "not an armored age file"},
		"another PEM":           {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not an armored age file"},
		"only a header":         {armor.Header + "\n", "incomplete"},
		"without its end":       {sealed[:len(sealed)/2], "incomplete"},
		"with something behind": {sealed + "gldt-0123456789abcdefghij", "incomplete or was changed"},
		"for somebody else":     {sealFor(t, good, otherPublic), "other recipients"},
		"a foreign age file":    {plain("gldt-0123456789abcdefghij"), "not an armored age file that this provider has made"},
		"foreign JSON":          {plain(`{"token":"gldt-0123456789abcdefghij"}`), "that this provider has made"},
		"without a config":      {plain(`{"version":1,"token":"gldt-0123456789abcdefghij"}`), "that this provider has made"},
		"of a later version":    {plain(`{"version":2,"secret":"gldt-0123456789abcdefghij"}`), "newer version of the provider has sealed it (format 2"},
	} {
		got, err := identities(t, secret).Open(c.value)
		if err == nil || !strings.Contains(err.Error(), c.says) || got != (seal.Credentials{}) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "gldt-") {
			t.Errorf("%s: the error shows a secret", name)
		}
	}
	for _, spaced := range []string{"\n  " + sealed, sealed + "\n\n", strings.ReplaceAll(sealed, "\n", "\r\n")} {
		if got, err := identities(t, secret).Open(spaced); err != nil || got != good {
			t.Errorf("white space around it: %v", err)
		}
	}
	if _, err := identities(t, other).Open(sealed); !errors.Is(err, seal.ErrOtherRecipients) {
		t.Errorf("got %v", err)
	}
}

func TestParseRecipients(t *testing.T) {
	t.Parallel()
	secret, public := newKey(t)
	_, second := newKey(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	const plugin = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"
	// The point of order one: well formed, and no key of anybody.
	const zero = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z"
	typo := public[:20] + flip(public[20]) + public[21:]

	for name, c := range map[string]struct {
		keys   []string
		says   string
		public bool
	}{
		"none":               {nil, "no recipient", true},
		"empty":              {[]string{""}, "is empty", true},
		"twice":              {[]string{public, second, public}, "twice", true},
		"a typing error":     {[]string{typo}, typo[:16], true},
		"cut":                {[]string{public[:40]}, "check how it was copied", true},
		"a plugin's":         {[]string{public, plugin}, "age1yubikey1qwt5... belongs to a plugin", true},
		"post-quantum":       {[]string{hybrid.Recipient().String()}, "post-quantum", true},
		"nobody's key":       {[]string{zero}, "not a valid key", true},
		"SSH, Ed25519":       {[]string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN9dHdk ops@example.com"}, "SSH key", false},
		"SSH, ECDSA":         {[]string{"ecdsa-sha2-nistp256 AAAA"}, "SSH key", false},
		"a secret key":       {[]string{secret}, "secret key of age", false},
		"a hidden secret":    {[]string{"age1 " + strings.ToLower(secret)}, "secret key of age", false},
		"a PQ secret":        {[]string{hybrid.String()}, "secret key of age", false},
		"two in one":         {[]string{public + "\n" + second}, "white space", false},
		"with a line break":  {[]string{public + "\n"}, "white space", false},
		"something else":     {[]string{"gldt-0123456789abcdefghij"}, "not an age public key", false},
		"in capital letters": {[]string{strings.ToUpper(public)}, "not an age public key", false},
	} {
		got, err := seal.ParseRecipients(c.keys)
		invalid, ok := errors.AsType[*seal.RecipientError](err)
		if !ok || got != nil || !strings.Contains(invalid.Error(), c.says) || invalid.Public != c.public {
			t.Errorf("%s: got %+v, want %q", name, err, c.says)
			continue
		}
		for _, key := range c.keys {
			if len(key) > 16 && strings.Contains(err.Error(), key[:17]) {
				t.Errorf("%s: the error shows the key: %v", name, err)
			}
		}
		for _, part := range []string{"AGE-SECRET-KEY-", "age-secret-key-", "gldt-", "AAAA"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error shows a part of the key: %v", name, err)
			}
		}
	}
	if got := recipients(t, public, second); len(got) != 2 {
		t.Errorf("got %d recipients", len(got))
	}
}

// flip replaces a character of a key by another one that keys can have.
func flip(b byte) string {
	if b == 'q' {
		return "p"
	}
	return "q"
}

func TestParseIdentities(t *testing.T) {
	t.Parallel()
	secret, public := newKey(t)
	second, _ := newKey(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	keygen := "# created: 2026-01-15T09:00:00Z\n# public key: " + public + "\n" + secret + "\n"

	for name, c := range map[string]struct {
		text string
		want int
	}{
		"one":                    {secret, 1},
		"of age-keygen":          {keygen, 1},
		"several":                {keygen + "\n# the next one\n" + second + "\n", 2},
		"with CR":                {strings.ReplaceAll(keygen, "\n", "\r\n"), 1},
		"with a byte order mark": {"\ufeff" + keygen, 1},
		"indented":               {"\n  " + secret + "  \n", 1},
	} {
		if got, err := seal.ParseIdentities(c.text); err != nil || len(got) != c.want {
			t.Errorf("%s: got %d identities, %v", name, len(got), err)
		}
	}
	for name, c := range map[string]struct{ text, says string }{
		"nothing":       {"", "no identity in it"},
		"only comments": {"# created: today\n# public key: " + public + "\n", "no identity in it"},
		"cut":           {keygen + secret[:60], "line 4 is not a valid key"},
		"public":        {public, "line 1 is a public key"},
		"post-quantum":  {hybrid.String(), "line 1 is a post-quantum identity"},
		"a plugin's":    {"AGE-PLUGIN-YUBIKEY-1QYQSYQCZQGPQYQSZ\n", "line 1 belongs to a plugin"},
		"SSH":           {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "PEM file"},
		"encrypted":     {armor.Header + "\nYWdlLWVuY3J5cHRpb24ub3JnL3Yx\n" + armor.Footer, "encrypted"},
		"encrypted too": {"age-encryption.org/v1\n-> scrypt x 18\n", "encrypted"},
		"a password":    {"correct horse battery staple", "line 1 is not an age identity"},
		"lower case":    {strings.ToLower(secret), "line 1 is not a valid key"},
	} {
		_, err := seal.ParseIdentities(c.text)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
			continue
		}
		for _, part := range []string{secret[16:26], strings.ToLower(secret)[16:26], "b3Blbn", "horse", "QYQSYQ", hybrid.String()[20:30]} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error shows the key", name)
			}
		}
	}
}

func TestIdentities_printNothing(t *testing.T) {
	t.Parallel()
	secret, public := newKey(t)
	parsed := identities(t, secret)
	for _, verb := range []string{"%v", "%s", "%q", "%+v", "%#v"} {
		if text := fmt.Sprintf(verb, parsed); strings.Contains(text, parsed.Secrets()[0][:10]) {
			t.Errorf("%s prints the key", verb)
		}
	}
	if got := parsed.Recipients(); len(got) != 1 || got[0] != public {
		t.Errorf("got the recipients %v", got)
	}
	if !strings.HasSuffix(secret, parsed.Secrets()[0]) || len(parsed.Secrets()[0]) < 50 {
		t.Error("Secrets does not have the key")
	}
}

func TestLooksLikeIdentity(t *testing.T) {
	t.Parallel()
	secret, _ := newKey(t)
	for text, want := range map[string]bool{
		secret: true, strings.ToLower(secret): true, "# comment\n" + secret: true, "-----BEGIN OPENSSH PRIVATE KEY-----": true,
		"/run/secrets/age.txt": false, "age.txt": false, "": false,
	} {
		if seal.LooksLikeIdentity(text) != want {
			t.Errorf("got %t for a text of %d characters", !want, len(text))
		}
	}
}
