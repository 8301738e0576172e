package gitlabtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// offsetLimit is the plan's limit of offset pages of projects and groups
// (offset_pagination_limit).
const offsetLimit = 50_000

// byKeyset says whether the caller asks for pages by keyset. Only GET /projects and GET
// /groups know them; elsewhere the parameter has no effect (paginate_with_strategies in
// lib/api/helpers/pagination_strategies.rb).
func (x *exchange) byKeyset() bool { return x.params["pagination"] == "keyset" }

// refuseKeyset: only these orders have keys (lib/gitlab/pagination/keyset.rb and
// cursor_based_keyset.rb).
func (x *exchange) refuseKeyset() {
	x.json(http.StatusMethodNotAllowed, map[string]any{"error": "Keyset pagination is not yet available for this type of request"})
}

// beyondOffsets refuses pages far out (the same file as paginate_with_strategies).
func (x *exchange) beyondOffsets(kind string) bool {
	if x.positive("page", 1)*min(x.positive("per_page", defaultPerPage), mostPerPage) <= offsetLimit {
		return false
	}
	x.json(http.StatusMethodNotAllowed, map[string]any{"error": fmt.Sprintf(
		"Offset pagination has a maximum allowed offset of %d for requests that return objects of type %s. "+
			"Remaining records can be retrieved using keyset pagination.", offsetLimit, kind)})
	return true
}

// linkTo is a link to the list of the request with these parameters changed. It carries
// the host that GitLab believes it has, and the path's id among its parameters
// (page_href of lib/gitlab/pagination/offset_header_builder.rb merges all of them).
func (s *Server) linkTo(x *exchange, rel string, changed map[string]string) string {
	query := x.request.URL.Query()
	if id, inPath := x.vars["id"]; inPath {
		query.Set("id", id)
	}
	query.Set("per_page", fmt.Sprint(min(x.positive("per_page", defaultPerPage), mostPerPage)))
	for name, value := range changed {
		query.Set(name, value)
	}
	return fmt.Sprintf("<%s%s?%s>; rel=%q", s.options.externalURL, x.request.URL.EscapedPath(), query.Encode(), rel)
}

// keysetOfProjects answers with the projects after the key, which the list knows as
// id_after or id_before. The only header is the link to the next page, which every page
// has that is not empty (lib/gitlab/pagination/keyset/pager.rb).
func (s *Server) keysetOfProjects(x *exchange, q projectQuery, found []*Project, entities []any) {
	if q.orderBy != "id" {
		x.refuseKeyset()
		return
	}
	size := min(x.positive("per_page", defaultPerPage), mostPerPage, len(found))
	if size > 0 {
		bound := "id_after"
		if q.sort == "desc" {
			bound = "id_before"
		}
		x.Header().Set("Link", s.linkTo(x, "next", map[string]string{bound: fmt.Sprint(found[size-1].ID)}))
	}
	x.json(http.StatusOK, append([]any{}, entities[:size]...))
}

// groupCursor is the last group of a page.
type groupCursor struct {
	Name      string `json:"name"`
	ID        string `json:"id"`
	Direction string `json:"_kd"`
}

// keysetOfGroups answers with the groups after the cursor, and with a link only if there
// are more (lib/gitlab/pagination/keyset/cursor_pager.rb).
func (s *Server) keysetOfGroups(x *exchange, order string, found []*Group, entities []any) {
	if order != "name asc" {
		x.refuseKeyset()
		return
	}
	from := 0
	if cursor, given := x.params["cursor"].(string); given {
		var last groupCursor
		raw, err := base64.URLEncoding.DecodeString(cursor)
		if err != nil || json.Unmarshal(raw, &last) != nil {
			x.json(http.StatusBadRequest, map[string]any{"error": "cursor is invalid"})
			return
		}
		for from < len(found) && !after(found[from], last) {
			from++
		}
	}
	to := min(from+min(x.positive("per_page", defaultPerPage), mostPerPage), len(found))
	if to < len(found) {
		raw, _ := json.Marshal(groupCursor{lastPart(found[to-1].Path), fmt.Sprint(found[to-1].ID), "n"})
		x.Header().Set("Link", s.linkTo(x, "next", map[string]string{"cursor": base64.URLEncoding.EncodeToString(raw)}))
	}
	x.json(http.StatusOK, append([]any{}, entities[from:to]...))
}

// after: names come first, then identifiers.
func after(g *Group, last groupCursor) bool {
	name := lastPart(g.Path)
	id, err := strconv.ParseInt(last.ID, 10, 64)
	return name > last.Name || name == last.Name && err == nil && g.ID > id
}

// SetExternalURL changes the URL that GitLab believes it has, which is in its links.
// Clients that follow these links need one that they reach.
func (s *Server) SetExternalURL(external string) {
	s.edit(func() { s.options.externalURL = strings.TrimSuffix(external, "/") })
}
