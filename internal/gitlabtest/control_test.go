package gitlabtest_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

func TestControl(t *testing.T) {
	t.Parallel()
	g := gitlabtest.New(t, gitlabtest.WithControl())
	post := func(name, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.URL+"/-/stand-in/"+name, bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	before := g.Clock.Now()
	if status := post("clock", `{"advance_days":7}`); status != http.StatusNoContent || g.Clock.Now().Sub(before) != 7*24*time.Hour {
		t.Errorf("clock: %d, %s", status, g.Clock.Now())
	}
	post("faults", `{"Match":"GET /version","Status":418}`)
	if got := get(t, g.URL+"/api/v4/version", ""); got.status != http.StatusTeapot {
		t.Errorf("fault: %d", got.status)
	}
	if log := get(t, g.URL+"/-/stand-in/requests", ""); !strings.Contains(log.body, `"Route":"/version"`) {
		t.Errorf("log: %s", log.body)
	}
	if status := post("clock", "x"); status != http.StatusBadRequest {
		t.Errorf("bad body: %d", status)
	}
	if closed := gitlabtest.New(t); get(t, closed.URL+"/-/stand-in/requests", "").status == http.StatusOK {
		t.Error("steered without being asked to")
	}
}
