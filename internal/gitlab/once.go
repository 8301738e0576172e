package gitlab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// shared is what a client reads once for all resources of a plan: projects, and the
// lists of the groups that the configuration names.
type shared struct {
	// applying: something may be changing projects, so nothing is shared any more.
	applying atomic.Bool
	projects memo[Project]
	// groups are full paths.
	groups []string
	lists  memo[map[string]Project]

	mu       sync.Mutex
	failures []PrefetchFailure
}

// PrefetchFailure is a prefetched group that could not be listed.
type PrefetchFailure struct {
	Group string
	Err   error
}

func newShared(groups []string) *shared {
	s := &shared{}
	for _, path := range groups {
		s.groups = append(s.groups, strings.Trim(path, "/"))
	}
	return s
}

// memo makes one call for all that ask for a key, while it runs and afterwards.
type memo[T any] struct {
	mu  sync.Mutex
	all map[string]*reading[T]
}

// reading is one call that several callers wait for.
type reading[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// get returns what read returns. A caller that was interrupted fails nobody but
// itself; any other failure is everybody's who waits for it, and is forgotten then
// unless failures are to be kept.
func (m *memo[T]) get(ctx context.Context, key string, keepFailures bool, read func() (T, error)) (T, error) {
	for {
		m.mu.Lock()
		r, known := m.all[key]
		if !known {
			r = &reading[T]{done: make(chan struct{})}
			if m.all == nil {
				m.all = map[string]*reading[T]{}
			}
			m.all[key] = r
			m.mu.Unlock()
			r.value, r.err = read()
			if r.err != nil && (!keepFailures || interrupted(r.err)) {
				m.mu.Lock()
				delete(m.all, key)
				m.mu.Unlock()
			}
			close(r.done)
			return r.value, r.err
		}
		m.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
		if r.err == nil || !interrupted(r.err) {
			return r.value, r.err
		}
	}
}

// interrupted reports whether a call ended with its caller rather than by itself.
func interrupted(err error) bool {
	var failure *Error
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &failure) && failure.Kind == KindTooLate
}

// Applying ends all sharing: from now on, projects may be changing.
func (c *Client) Applying() { c.shared.applying.Store(true) }

// ProjectOnce reads a project as Project does, but for plans: all callers of one
// client get one answer, from the list of a prefetched group if that proves
// everything. path is the project's full path as far as it is known, and tells which
// group it is below.
func (c *Client) ProjectOnce(ctx context.Context, ref, path string) (Project, error) {
	if c.shared.applying.Load() {
		return c.Project(ctx, ref)
	}
	if path == "" && !isNumber(ref) {
		path = ref
	}
	for _, group := range c.shared.groups {
		if !covers(group, path) {
			continue
		}
		listed, err := c.shared.lists.get(ctx, group, true, func() (map[string]Project, error) { return c.listGroup(ctx, group) })
		if ctx.Err() != nil {
			return Project{}, c.noAnswer(listing(group), ctx.Err())
		}
		if project, ok := listed[strings.ToLower(ref)]; err == nil && ok {
			return project, nil
		}
	}
	project, err := c.shared.projects.get(ctx, strings.ToLower(ref), false, func() (Project, error) { return c.Project(ctx, ref) })
	if err != nil && ctx.Err() != nil && !errors.As(err, new(*Error)) {
		return Project{}, c.noAnswer("read project "+ref, err)
	}
	return project, err
}

func isNumber(ref string) bool {
	_, err := strconv.ParseInt(ref, 10, 64)
	return err == nil
}

// covers reports whether a project may be below the group. One whose path is not
// known may be below any.
func covers(group, path string) bool {
	return path == "" || strings.HasPrefix(strings.ToLower(path), strings.ToLower(group)+"/")
}

// listGroup lists a group, and notes it if that fails for good.
func (c *Client) listGroup(ctx context.Context, group string) (map[string]Project, error) {
	listed, err := c.groupProjects(ctx, group)
	if err != nil && !interrupted(err) {
		c.shared.mu.Lock()
		defer c.shared.mu.Unlock()
		c.shared.failures = append(c.shared.failures, PrefetchFailure{Group: group, Err: err})
	}
	return listed, err
}

// PrefetchFailures returns the groups that could not be listed, each once. Their
// projects are read one by one.
func (c *Client) PrefetchFailures() []PrefetchFailure {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	failures := c.shared.failures
	c.shared.failures = nil
	return failures
}

// groupProjects lists the projects below a group, by id and by path in lower case.
// Those that the list does not wholly describe are left out.
func (c *Client) groupProjects(ctx context.Context, path string) (map[string]Project, error) {
	listed := map[string]Project{}
	_, err := c.eachRow(ctx, path, GroupFilter{}, func(row projectJSON) error {
		if row.complete() {
			project := row.project(c.reporter)
			listed[fmt.Sprint(row.ID)], listed[strings.ToLower(row.Path)] = project, project
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return listed, nil
}

// complete reports whether a row leaves nothing open that a project's own answer
// could tell.
func (p projectJSON) complete() bool {
	return p.Visibility != nil && p.RegistryAccessLevel != nil && p.ImagePrefix != nil && p.AutoDevOps != nil
}
