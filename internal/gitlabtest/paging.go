package gitlabtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

const (
	defaultPerPage = 20
	mostPerPage    = 100
	// Above this, GitLab counts no totals.
	mostCounted = 10_000
)

// page answers with one page of the list. The links carry the host that GitLab
// believes it has.
func (s *Server) page(x *exchange, all []any) {
	p := x.declared()
	p.integer("page")
	p.integer("per_page")
	if !p.valid() {
		return
	}
	number := x.positive("page", 1)
	perPage := min(x.positive("per_page", defaultPerPage), mostPerPage)
	total := len(all)
	pages := max(1, (total+perPage-1)/perPage)
	from := min((number-1)*perPage, total)
	rows := all[from:min(from+perPage, total)]

	h := x.Header()
	h.Set("X-Page", fmt.Sprint(number))
	h.Set("X-Per-Page", fmt.Sprint(perPage))
	h.Set("X-Next-Page", "")
	h.Set("X-Prev-Page", "")
	link := func(rel string, page int) string {
		return s.linkTo(x, rel, map[string]string{"page": fmt.Sprint(page)})
	}
	var links []string
	if number > 1 {
		h.Set("X-Prev-Page", fmt.Sprint(number-1))
		links = append(links, link("prev", number-1))
	}
	if number < pages {
		h.Set("X-Next-Page", fmt.Sprint(number+1))
		links = append(links, link("next", number+1))
	}
	links = append(links, link("first", 1))
	if total <= mostCounted && !s.world.noTotals {
		h.Set("X-Total", fmt.Sprint(total))
		h.Set("X-Total-Pages", fmt.Sprint(pages))
		links = append(links, link("last", pages))
	}
	h.Set("Link", strings.Join(links, ", "))
	if rows == nil {
		rows = []any{}
	}
	x.json(http.StatusOK, rows)
}

func (x *exchange) positive(name string, fallback int) int {
	n, err := strconv.Atoi(fmt.Sprint(x.params[name]))
	if err != nil || n < 1 {
		return fallback
	}
	return n
}
