package examples_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGuides_tokenExpiry: the guide's command fails 30 days before the provider's token
// expires, and where GitLab does not say when.
func TestGuides_tokenExpiry(t *testing.T) {
	t.Parallel()
	command := snippet(t, "../templates/guides/permissions.md", "personal_access_tokens/self")
	in := func(days int) string {
		return fmt.Sprintf(`{"expires_at":%q}`, time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly))
	}
	for name, c := range map[string]struct {
		status int
		answer string
		fails  bool
	}{
		"in a year":    {http.StatusOK, in(365), false},
		"in 32 days":   {http.StatusOK, in(32), false},
		"in 29 days":   {http.StatusOK, in(29), true},
		"never":        {http.StatusOK, `{"expires_at":null}`, false},
		"refused":      {http.StatusUnauthorized, `{"message":"401 Unauthorized"}`, true},
		"not a GitLab": {http.StatusOK, "<html>", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/v4/personal_access_tokens/self" || r.Header.Get("PRIVATE-TOKEN") != "token" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			}))
			t.Cleanup(server.Close)
			out, err := shell(t, installed(t), []string{"GITLAB_TOKEN=token", "CI_API_V4_URL=" + server.URL + "/api/v4"}, command)
			if (err != nil) != c.fails {
				t.Errorf("got %v: %s", err, out)
			}
		})
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	unsaid  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestGuides_links: every link between the pages leads to a page and a heading.
func TestGuides_links(t *testing.T) {
	t.Parallel()
	repository := filepath.Join(root, "..")
	var pages []string
	for _, dir := range []string{"docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(repository, dir), func(file string, _ fs.DirEntry, err error) error {
			if filepath.Ext(file) == ".md" {
				pages = append(pages, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, page := range append(pages, filepath.Join(repository, "README.md")) {
		text := fenced.ReplaceAllString(content(t, page), "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target := match[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			n++
			file, anchor, _ := strings.Cut(target, "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s leads nowhere", page, target)
			} else if anchor != "" && !slices.Contains(anchors(content(t, to)), anchor) {
				t.Errorf("%s: %s has no such heading", page, target)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d links were found", n)
	}
}

// TestGuides_listed: the map and the README name every guide.
func TestGuides_listed(t *testing.T) {
	t.Parallel()
	repository := filepath.Join(root, "..")
	guides, err := filepath.Glob(filepath.Join(repository, "docs/guides/*.md"))
	if err != nil || len(guides) < 10 {
		t.Fatalf("%d guides, %v", len(guides), err)
	}
	for list, prefix := range map[string]string{"README.md": "docs/guides/", "docs/index.md": "guides/"} {
		text := content(t, filepath.Join(repository, list))
		for _, guide := range guides {
			if want := "(" + path.Join(prefix, filepath.Base(guide)); !strings.Contains(text, want) {
				t.Errorf("%s does not name %s", list, filepath.Base(guide))
			}
		}
	}
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchors are the names that a page's headings have as links.
func anchors(text string) (names []string) {
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		name := unsaid.ReplaceAllString(strings.ToLower(match[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	for _, match := range regexp.MustCompile(`<a id="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	return names
}
