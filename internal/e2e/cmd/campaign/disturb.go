//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/autodevops/terraform-provider-autodevops/internal/e2e/terraform"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

// disturbance is what happens to one command: faults, a kill or nothing.
type disturbance struct {
	faults []gitlabtest.Fault
	kill   *kill
}

func (d disturbance) any() bool { return len(d.faults) > 0 || d.kill != nil }

// answers reports whether a fault may answer with that status.
func (d disturbance) answers(status int) bool {
	return slices.ContainsFunc(d.faults, func(f gitlabtest.Fault) bool { return f.Status == status })
}

func (d disturbance) String() string {
	var text strings.Builder
	for _, f := range d.faults {
		times := "once"
		if f.Times == gitlabtest.Always {
			times = "always"
		}
		_, _ = fmt.Fprintf(&text, " [fault: %s, %s, after %d]", &f, times, f.Skip)
	}
	if d.kill != nil {
		_, _ = fmt.Fprintf(&text, " [%s]", d.kill)
	}
	return text.String()
}

// newDisturbance disturbs half of the commands, at one of the routes or at the
// numbered request.
func newDisturbance(r *rand.Rand, routes []string, publishes bool) disturbance {
	if publishes && chance(r, 2) {
		routes = []string{putVariable, putVariable, postVariable, deleteVariable, listVariables, readVariable}
	}
	switch r.IntN(10) {
	case 0, 1, 2:
		d := disturbance{faults: []gitlabtest.Fault{newFault(r, routes)}}
		if chance(r, 3) { // what looks into the first one fails as well
			d.faults = append(d.faults, newFault(r, []string{listTokens, deleteToken, verifyPull}))
		}
		return d
	case 3, 4:
		return disturbance{kill: &kill{cli: chance(r, 2), at: 1 + r.IntN(12), after: chance(r, 2)}}
	}
	return disturbance{}
}

// routesOf are those that commands use, the ones that change something more often.
// An empty one is any of them.
func routesOf(creates, destroys bool) []string {
	switch {
	case creates:
		return []string{postToken, postToken, postToken, listTokens, verifyPull, verifyPull, ""}
	case destroys:
		return []string{deleteToken, deleteToken, deleteToken, listTokens, ""}
	}
	return []string{
		postToken, postToken, postToken, deleteToken, deleteToken, verifyPull, verifyPull,
		listTokens, "GET /projects/:id", "GET /projects/:id/deploy_tokens/:token_id", "",
	}
}

const (
	postToken   = "POST /projects/:id/deploy_tokens" //nolint:gosec // a route
	deleteToken = "DELETE /projects/:id/deploy_tokens/:token_id"
	listTokens  = "GET /projects/:id/deploy_tokens"
	verifyPull  = "GET /jwt/auth"

	listVariables  = "GET /projects/:id/variables"
	readVariable   = "GET /projects/:id/variables/:key"
	postVariable   = "POST /projects/:id/variables"
	putVariable    = "PUT /projects/:id/variables/:key"
	deleteVariable = "DELETE /projects/:id/variables/:key"
)

// newFault makes an answer that is wrong. A 403 in GitLab's own shape comes only
// before the request is carried out: GitLab says so of what it has not done.
func newFault(r *rand.Rand, routes []string) gitlabtest.Fault {
	html := map[string]string{"Content-Type": "text/html"}
	f := pick(r,
		gitlabtest.Fault{},
		gitlabtest.Fault{Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`},
		gitlabtest.Fault{Status: http.StatusForbidden, Body: "<html><body>Access denied</body></html>", Header: html},
		gitlabtest.Fault{Status: http.StatusNotFound, Body: "<html><body>404 page not found</body></html>", Header: html},
		gitlabtest.Fault{Status: http.StatusFound, Header: map[string]string{"Location": "/users/sign_in"}},
		gitlabtest.Fault{Status: http.StatusInternalServerError, Body: `{"message":"500 Internal Server Error"}`},
		gitlabtest.Fault{Status: http.StatusBadGateway, Body: "<html><body>502 Bad Gateway</body></html>", Header: html},
	)
	f.Match = pick(r, routes...)
	f.When = pick(r, gitlabtest.Before, gitlabtest.After, gitlabtest.After, gitlabtest.During)
	f.Skip = pick(r, 0, 0, 0, 0, 1, 2)
	f.Times = pick(r, 1, 1, gitlabtest.Always)
	if f.Status == http.StatusForbidden && f.Body[0] == '{' {
		f.When = gitlabtest.Before
	}
	return f
}

// kill ends the CLI or its provider at one request, before it is carried out or after.
type kill struct {
	cli   bool
	at    int
	after bool
}

func (k *kill) String() string {
	who, when := "provider", "before"
	if k.cli {
		who = "CLI"
	}
	if k.after {
		when = "after"
	}
	return fmt.Sprintf("kill: the %s, %s request %d", who, when, k.at)
}

// killer kills at the requests of one command after the other.
type killer struct {
	gitlab *gitlabtest.Server

	mu   sync.Mutex
	plan *kill
	run  *terraform.Running
	seen int
	hit  string
	// left are the providers of killed CLIs, which live on.
	left []int
}

func newKiller(gitlab *gitlabtest.Server) *killer {
	k := &killer{gitlab: gitlab}
	gitlab.OnRequest(func(r gitlabtest.Request) {
		if k.strikes(r, false) {
			panic(http.ErrAbortHandler)
		}
	})
	gitlab.OnAnswer(func(r gitlabtest.Request) {
		k.strikes(r, true)
	})
	return k
}

// start starts a command, whose requests count from 1.
func (k *killer) start(plan *kill, start func() (*terraform.Running, error)) (*terraform.Running, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.plan, k.seen, k.hit = plan, 0, ""
	var err error
	k.run, err = start()
	return k.run, err
}

func (k *killer) strikes(r gitlabtest.Request, after bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.plan == nil || k.hit != "" || after != k.plan.after {
		return false
	}
	if k.seen++; k.seen != k.plan.at {
		return false
	}
	k.hit = r.String()
	for _, child := range k.run.Children() {
		switch {
		case k.plan.cli:
			k.left = append(k.left, child.PID)
		case child.Program == program:
			_ = syscall.Kill(child.PID, syscall.SIGKILL)
		}
	}
	if k.plan.cli {
		k.run.Kill()
	}
	return true
}

// end returns at which request the command was killed; empty if it was not. What a
// killed CLI has left behind ends its work first, and is then killed as well.
func (k *killer) end() (hit string) {
	k.mu.Lock()
	hit, left := k.hit, k.left
	k.plan, k.left = nil, nil
	k.mu.Unlock()
	if len(left) == 0 {
		return hit
	}
	const quiet, atMost = 300 * time.Millisecond, 5 * time.Second
	deadline := time.Now().Add(atMost)
	for made := -1; time.Now().Before(deadline); {
		now := len(k.gitlab.Requests())
		if now == made {
			break
		}
		made = now
		time.Sleep(quiet)
	}
	for _, pid := range left {
		exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
		if err == nil && filepath.Base(exe) == program { // a number can be another process's by now
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return hit
}
