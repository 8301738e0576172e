package gitlab

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"

	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"
	"golang.org/x/sync/errgroup"
)

// pagesAtOnce is how many pages of a group's list are read side by side.
const pagesAtOnce = 8

func listing(group string) (action string) { return "list the projects of group " + group }

// GroupFilter says which of a group's projects are listed; the zero value leaves
// out none.
type GroupFilter struct {
	// DirectOnly leaves out the projects of subgroups.
	DirectOnly bool
	// WithoutArchived leaves out archived projects.
	WithoutArchived bool
}

// GroupProjects calls each once for every project below a group that the caller can
// see, one at a time but in no certain order, while further pages are on their way.
// The group's full path or numeric id names it. Projects that are shared with the
// group are left out; whether those in deletion are depends on GitLab's version. An
// error of each ends the list, and is returned. A list whose length changes while it is read is read
// again, since a project may then have moved to a page already read. That does not show
// where one project goes and another comes in the same moment, nor above 10,000
// projects, of which GitLab tells no length.
func (c *Client) GroupProjects(ctx context.Context, group string, filter GroupFilter, each func(Project) error) error {
	seen := map[int64]bool{}
	for range listTries {
		steady, err := c.eachRow(ctx, group, filter, func(row projectJSON) error {
			if seen[row.ID] {
				return nil
			}
			seen[row.ID] = true
			return each(row.project(c.reporter))
		})
		if err != nil || steady {
			return err
		}
	}
	return unsteady(listing(group), "Try again.")
}

// eachRow reads the pages of a group's list, several side by side. The list is not
// steady if its length changed meanwhile.
func (c *Client) eachRow(ctx context.Context, path string, filter GroupFilter, each func(projectJSON) error) (steady bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := c.groupPage(ctx, path, filter, 1)
	if err != nil {
		return false, err
	}
	if err = forEach(first.rows, each); err != nil {
		return false, err
	}
	if first.pages == 0 { // no total is told: one after the other
		page := first
		for number := 2; page.more; number++ {
			if number > maxPages {
				return false, endless(listing(path))
			}
			if page, err = c.groupPage(ctx, path, filter, number); err != nil {
				return false, err
			}
			if err = forEach(page.rows, each); err != nil {
				return false, err
			}
		}
		return true, nil
	}

	var (
		mu      sync.Mutex
		workers errgroup.Group // which of the errors counts is decided below
		failed  error
	)
	workers.SetLimit(pagesAtOnce)
	steady = true
	take := func(page groupPage, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil && failed == nil {
			steady = steady && page.total == first.total
			err = forEach(page.rows, each)
		}
		if err != nil && failed == nil { // the others then fail of being cancelled
			failed = err
			cancel()
		}
	}
	for number := 2; number <= first.pages; number++ {
		workers.Go(func() error {
			take(c.groupPage(ctx, path, filter, number))
			return nil
		})
	}
	_ = workers.Wait()
	return steady, failed
}

func forEach(rows []projectJSON, each func(projectJSON) error) error {
	for _, row := range rows {
		if err := each(row); err != nil {
			return err
		}
	}
	return nil
}

// groupPage is one page of a group's projects.
type groupPage struct {
	rows []projectJSON
	// pages is how many there are, 0 if that is not told; total counts projects.
	pages int
	total string
	// more: there is a next page.
	more bool
}

func (c *Client) groupPage(ctx context.Context, path string, filter GroupFilter, number int) (groupPage, error) {
	action := listing(path)
	query := &gogitlab.ListGroupProjectsOptions{
		ListOptions:      gogitlab.ListOptions{Page: int64(number), PerPage: perPage, OrderBy: "id", Sort: "asc"},
		IncludeSubGroups: new(!filter.DirectOnly), WithShared: new(false),
	}
	if filter.WithoutArchived {
		query.Archived = new(false)
	}
	got, err := c.request(ctx, http.MethodGet, "groups/"+gogitlab.PathEscape(path)+"/projects", query)
	if err != nil {
		return groupPage{}, c.noAnswer(action, err)
	}
	if got.status != http.StatusOK {
		return groupPage{}, c.refused(action, got)
	}
	page := groupPage{total: got.header.Get("X-Total")}
	if err := json.Unmarshal(got.body, &page.rows); err != nil || page.rows == nil {
		return groupPage{}, c.garbled(action, got)
	}
	for _, row := range page.rows {
		if row.ID <= 0 || row.Path == "" {
			return groupPage{}, c.garbled(action, got)
		}
	}
	page.more = moreAfter(got, len(page.rows))
	if page.total != "" {
		pages, _ := strconv.Atoi(got.header.Get("X-Total-Pages"))
		page.pages = min(pages, maxPages)
	}
	return page, nil
}
