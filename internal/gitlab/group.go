package gitlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	gogitlab "gitlab.com/gitlab-org/api/client-go/v2"
)

const (
	projectsPerPage = 100
	// pagesAtOnce is how many pages of a group's list are read side by side.
	pagesAtOnce = 8
)

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
// group are left out, and so are, by GitLab, those in deletion. An error of each ends
// the list, and is returned. A list whose length changes while it is read is read
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
			return each(row.project())
		})
		if err != nil || steady {
			return err
		}
	}
	return &Error{Action: "list the projects of group " + group, Said: "the list kept changing while it was read", Advice: "Try again."}
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
				return false, &Error{Action: "list the projects of group " + path, Said: fmt.Sprintf("the list did not end after %d pages", maxPages)}
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
		workers sync.WaitGroup
		next    atomic.Int64
		failed  error
	)
	steady = true
	next.Store(1)
	take := func(page groupPage, err error) (goOn bool) {
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
		return failed == nil
	}
	for range min(pagesAtOnce, first.pages-1) {
		workers.Go(func() {
			for number := int(next.Add(1)); number <= first.pages; number = int(next.Add(1)) {
				if !take(c.groupPage(ctx, path, filter, number)) {
					return
				}
			}
		})
	}
	workers.Wait()
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
	action := "list the projects of group " + path
	query := &gogitlab.ListGroupProjectsOptions{
		ListOptions:      gogitlab.ListOptions{Page: int64(number), PerPage: projectsPerPage, OrderBy: "id", Sort: "asc"},
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
	// A full page is followed also when a proxy dropped the header.
	page.more = got.header.Get("X-Next-Page") != "" || len(page.rows) == projectsPerPage
	if page.total != "" {
		pages, _ := strconv.Atoi(got.header.Get("X-Total-Pages"))
		page.pages = min(pages, maxPages)
	}
	return page, nil
}
