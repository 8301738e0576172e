package registryaccess_test

import (
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlabtest"
)

const (
	tokensPath = "GET /projects/:id/deploy_tokens"
	groupPath  = "GET /groups/:id/projects"
)

// coverage reads the coverage data source, as plain Go values, after validating
// the configuration.
func (d *driver) coverage(values arguments) (got map[string]any, diags []*tfprotov6.Diagnostic) {
	d.Helper()
	const name = "autodevops_registry_coverage"
	schemas, err := d.server().GetProviderSchema(d.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		d.Fatal(err)
	}
	typ := schemas.DataSourceSchemas[name].ValueType()
	config := d.encode(d.object(typ, values))
	server := d.configured()
	valid, err := server.ValidateDataResourceConfig(d.Context(), &tfprotov6.ValidateDataResourceConfigRequest{TypeName: name, Config: config})
	if err != nil || failed(valid.Diagnostics) {
		return nil, valid.Diagnostics
	}
	resp, err := server.ReadDataSource(d.Context(), &tfprotov6.ReadDataSourceRequest{TypeName: name, Config: config})
	if err != nil {
		d.Fatal(err)
	}
	if failed(resp.Diagnostics) {
		return nil, resp.Diagnostics
	}
	value, err := resp.State.Unmarshal(typ)
	if err != nil {
		d.Fatal(err)
	}
	return plain(d.TB, value).(map[string]any), resp.Diagnostics
}

// plain turns a value into Go's own.
func plain(tb testing.TB, value tftypes.Value) any {
	tb.Helper()
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	switch typ := value.Type(); {
	case value.IsNull():
		return nil
	case typ.Is(tftypes.String):
		var s string
		must(value.As(&s))
		return s
	case typ.Is(tftypes.Bool):
		var b bool
		must(value.As(&b))
		return b
	case typ.Is(tftypes.Number):
		var n big.Float
		must(value.As(&n))
		return n.String()
	case typ.Is(tftypes.List{}), typ.Is(tftypes.Set{}):
		var elements []tftypes.Value
		must(value.As(&elements))
		list := []any{}
		for _, e := range elements {
			list = append(list, plain(tb, e))
		}
		return list
	default:
		elements := map[string]tftypes.Value{}
		must(value.As(&elements))
		object := map[string]any{}
		for k, e := range elements {
			object[k] = plain(tb, e)
		}
		return object
	}
}

// summary writes a project's coverage in a few words.
func summary(row any) string {
	r := row.(map[string]any)
	var words []string
	add := func(word, not string, value any) {
		switch value {
		case true:
			words = append(words, word)
		case false:
			words = append(words, not)
		case nil:
			words = append(words, word+"?")
		}
	}
	add("required", "not required", r["required"])
	add("covered", "not covered", r["covered"])
	if r["expiring"] == true {
		words = append(words, "expiring")
	}
	if ids, _ := r["unmanaged_token_ids"].([]any); len(ids) > 0 {
		words = append(words, "unmanaged")
	}
	if r["hidden"] == true {
		words = append(words, "hidden")
	}
	return strings.Join(words, ", ")
}

// newFleet is a group with one project of each kind. The provider's user is a
// Developer of the group, and Maintainer in all projects but one.
func newFleet(t *testing.T) *driver {
	t.Helper()
	d := newDriver(t)
	now := d.gitlab.Clock.Now()
	member := d.gitlab.GroupMember(d.group, gitlabtest.Developer)
	d.token = d.gitlab.CreateAccessToken(member, "api")
	d.gitlab.SetRole(d.project, member, gitlabtest.Maintainer)
	create := func(path string, o gitlabtest.ProjectOptions) *gitlabtest.Project {
		p := d.gitlab.CreateProject(path, o)
		d.gitlab.SetRole(p, member, gitlabtest.Maintainer)
		return p
	}
	mint := func(p *gitlabtest.Project, username string, days int) {
		if username == "" {
			username = access.NewUsername(p.ID)
		}
		var expires time.Time
		if days > 0 {
			expires = now.AddDate(0, 0, days)
		}
		d.gitlab.CreateDeployToken(p, access.DefaultName, username, expires, "read_registry")
	}
	mint(create("acme/covered", gitlabtest.ProjectOptions{}), "", 200)
	mint(create("acme/permanent", gitlabtest.ProjectOptions{}), "", 0)
	mint(create("acme/platform/expiring", gitlabtest.ProjectOptions{}), "", 10)
	mint(create("acme/by-hand", gitlabtest.ProjectOptions{}), "puller", 200)
	mint(create("acme/open", gitlabtest.ProjectOptions{Visibility: "public"}), "", 5)
	create("acme/off", gitlabtest.ProjectOptions{AutoDevOps: gitlabtest.False})
	archived := create("acme/archived", gitlabtest.ProjectOptions{})
	d.gitlab.SetArchived(archived, true)
	d.gitlab.SetRole(create("acme/hidden", gitlabtest.ProjectOptions{}), member, gitlabtest.NoRole)
	d.gitlab.LeaveOut(create("acme/nowhere", gitlabtest.ProjectOptions{}), "container_registry_image_prefix")
	strange := create("acme/strange", gitlabtest.ProjectOptions{})
	d.gitlab.Override(strange, "visibility", "secret")
	d.gitlab.HideProject(create("acme/invisible", gitlabtest.ProjectOptions{}), true)
	d.gitlab.CreateProject("other/app", gitlabtest.ProjectOptions{Visibility: "public"})
	return d
}

var fleetCoverage = map[string]string{
	"acme/shop":              "required, not covered",
	"acme/covered":           "required, covered",
	"acme/permanent":         "required, covered",
	"acme/platform/expiring": "required, covered, expiring",
	"acme/by-hand":           "required, covered, unmanaged",
	"acme/open":              "not required, covered",
	"acme/off":               "not required, not covered",
	"acme/archived":          "required, not covered",
	"acme/hidden":            "required?, covered?, hidden",
	"acme/strange":           "required?, covered?, hidden",
	"acme/nowhere":           "required?, covered?, hidden",
}

func wantCoverage(t *testing.T, got map[string]any, want map[string]string) {
	t.Helper()
	rows := map[string]string{}
	for key, row := range got["coverage"].(map[string]any) {
		rows[key] = summary(row)
	}
	if !maps.Equal(rows, want) {
		t.Errorf("coverage is\n%v\nwant\n%v", rows, want)
	}
}

func only(all map[string]string, keep func(path, summary string) bool) map[string]string {
	kept := maps.Clone(all)
	maps.DeleteFunc(kept, func(path, summary string) bool { return !keep(path, summary) })
	return kept
}

func TestCoverage_group(t *testing.T) {
	d := newFleet(t)
	got, diags := d.coverage(arguments{"group": "acme"})
	if len(diags) > 0 {
		t.Fatal(describe(diags))
	}
	wantCoverage(t, got, fleetCoverage)
	for name, want := range map[string][]any{
		"uncovered": {"acme/archived", "acme/shop"},
		"expiring":  {"acme/platform/expiring"},
		"unmanaged": {"acme/by-hand"},
		"hidden":    {"acme/hidden", "acme/nowhere", "acme/strange"},
	} {
		if list := got[name].([]any); !slices.Equal(list, want) {
			t.Errorf("%s is %v, want %v", name, list, want)
		}
	}
	if totals := fmt.Sprint(got["totals"]); totals != "map[covered:4 environments_behind:<nil> environments_without_access:<nil> expiring:1 hidden:3 projects:11 required:6 uncovered:2 unmanaged:1]" {
		t.Errorf("totals are %s", totals)
	}

	row := func(path string) map[string]any { return got["coverage"].(map[string]any)[path].(map[string]any) }
	if row("acme/covered")["expires_at"] == nil || row("acme/permanent")["expires_at"] != nil {
		t.Errorf("expiries are %v and %v", row("acme/covered")["expires_at"], row("acme/permanent")["expires_at"])
	}
	for path, want := range map[string]string{"acme/hidden": "Maintainer", "acme/strange": `"secret"`, "acme/shop": "private project"} {
		if explanation := row(path)["explanation"].(string); !strings.Contains(explanation, want) {
			t.Errorf("%s is explained by %q", path, explanation)
		}
	}
	if d.gitlab.Writes() != 0 {
		t.Error("a data source wrote")
	}
	// One page, and the tokens of all but the three that nobody can decide about.
	if lists, tokens, all := d.gitlab.CountRequests(groupPath), d.gitlab.CountRequests(tokensPath), len(d.gitlab.Requests()); lists != 1 || tokens != 8 || all != 9 {
		t.Errorf("%d pages, %d lists of tokens, %d requests in all", lists, tokens, all)
	}
}

func TestCoverage_filters(t *testing.T) {
	d := newFleet(t)
	notRequired := func(summary string) bool { return strings.HasPrefix(summary, "not required") }
	for name, c := range map[string]struct {
		arguments arguments
		keep      func(path, summary string) bool
	}{
		"without subgroups": {arguments{"include_subgroups": false}, func(path, _ string) bool { return path != "acme/platform/expiring" }},
		"without archived":  {arguments{"include_archived": false}, func(path, _ string) bool { return path != "acme/archived" }},
		"all of them":       {arguments{"include_archived": true, "include_subgroups": true}, func(string, string) bool { return true }},
		"only required":     {arguments{"only_required": true}, func(_, summary string) bool { return !notRequired(summary) }},
		"excluded": {arguments{"exclude": []string{"ACME/Platform", "acme/shop", "acme/o"}}, func(path, _ string) bool {
			return path != "acme/platform/expiring" && path != "acme/shop"
		}},
		"by id": {arguments{"group": fmt.Sprint(d.group.ID)}, func(string, string) bool { return true }},
	} {
		before := d.gitlab.CountRequests(tokensPath)
		values := arguments{"group": "acme"}
		maps.Copy(values, c.arguments)
		got, diags := d.coverage(values)
		if len(diags) > 0 {
			t.Fatalf("%s: %v", name, describe(diags))
		}
		want := only(fleetCoverage, c.keep)
		wantCoverage(t, got, want)
		undecided := 3
		if n := d.gitlab.CountRequests(tokensPath) - before; n != len(want)-undecided {
			t.Errorf("%s: %d lists of tokens for %d projects", name, n, len(want))
		}
	}
	got, _ := d.coverage(arguments{"group": "acme", "name": "other"})
	if totals := got["totals"].(map[string]any); totals["covered"] != "0" || totals["uncovered"] != "6" {
		t.Errorf("with tokens of another name: %v", totals)
	}
	got, _ = d.coverage(arguments{"group": "acme", "expiring_within_days": 200})
	if fmt.Sprint(got["expiring"]) != "[acme/by-hand acme/covered acme/platform/expiring]" {
		t.Errorf("expiring within 200 days: %v", got["expiring"])
	}
}

func TestCoverage_projects(t *testing.T) {
	d := newFleet(t)
	got, diags := d.coverage(arguments{"projects": []string{"acme/Covered", itoa(d.project.ID), "acme/hidden", "acme/invisible", "acme/gone"}})
	if len(diags) > 0 {
		t.Fatal(describe(diags))
	}
	wantCoverage(t, got, map[string]string{
		"acme/covered":   fleetCoverage["acme/covered"],
		"acme/shop":      fleetCoverage["acme/shop"],
		"acme/hidden":    fleetCoverage["acme/hidden"],
		"acme/invisible": "required?, covered?, hidden",
		"acme/gone":      "required?, covered?, hidden",
	})
	if row := got["coverage"].(map[string]any)["acme/gone"].(map[string]any); row["project_id"] != nil || !strings.Contains(row["explanation"].(string), "no such project") {
		t.Errorf("a project that is not there: %v", row)
	}
}

// TestCoverage_failsWhole: what is neither there nor hidden is no finding. Half a
// picture, in which somebody counts the uncovered, is worse than none.
func TestCoverage_failsWhole(t *testing.T) {
	group, list := arguments{"group": "acme"}, arguments{"projects": []string{"acme/shop", "acme/gone"}}
	for name, c := range map[string]struct {
		arguments arguments
		spoil     func(*driver)
		says      string
	}{
		"tokens cannot be listed": {group, fault(tokensPath, http.StatusInternalServerError), "500"},
		"a proxy refuses": {group, func(d *driver) {
			d.gitlab.Inject(gitlabtest.Fault{Match: tokensPath, Status: http.StatusForbidden, Body: "<html>no</html>", Times: gitlabtest.Always})
		}, "403"},
		"the group cannot be":       {group, fault(groupPath, http.StatusInternalServerError), "500"},
		"a project cannot be read":  {list, fault("GET /projects/:id", http.StatusInternalServerError), "500"},
		"a proxy strips the token":  {list, fault("GET /user", http.StatusUnauthorized), "Could not check the provider's token"},
		"the token has lost scopes": {group, func(d *driver) { d.token = d.gitlab.CreateAccessToken(d.maintainer, "read_user") }, "api scope"},
		"no such group":             {arguments{"group": "acme/none"}, func(*driver) {}, "The group does not exist"},
		"no time":                   {arguments{"group": "acme", "timeouts": arguments{"read": "1ns"}}, func(*driver) {}, "ran out of time"},
		"a negative timeout":        {arguments{"group": "acme", "timeouts": arguments{"read": "-1m"}}, func(*driver) {}, "A timeout must be longer than zero"},
		"group and projects":        {arguments{"group": "acme", "projects": []string{"acme/shop"}}, func(*driver) {}, "Invalid Attribute Combination"},
		"neither":                   {arguments{}, func(*driver) {}, "Invalid Attribute Combination"},
		"no projects":               {arguments{"projects": []string{}}, func(*driver) {}, "at least 1"},
		"a filter for a list":       {arguments{"projects": []string{"acme/shop"}, "include_archived": false}, func(*driver) {}, "Invalid Attribute Combination"},
		"far too long":              {arguments{"group": "acme", "expiring_within_days": 200_000}, func(*driver) {}, "between 0 and 36500"},
		"beyond 64 bits":            {arguments{"group": "acme", "expiring_within_days": 1e30}, func(*driver) {}, "between 0 and 36500"},
		"half a day":                {arguments{"group": "acme", "expiring_within_days": 0.5}, func(*driver) {}, "between 0 and 36500, got: 0.5"},
		"a null project":            {arguments{"projects": withNull("acme/shop")}, func(*driver) {}, "Null Set Value"},
		"a null exclude":            {arguments{"group": "acme", "exclude": withNull("acme/shop")}, func(*driver) {}, "Null Set Value"},
		"an empty project":          {arguments{"projects": []string{""}}, func(*driver) {}, "must be the project's numeric id"},
		"an empty exclude":          {arguments{"group": "acme", "exclude": []string{""}}, func(*driver) {}, "must be a full path"},
		"an empty group":            {arguments{"group": ""}, func(*driver) {}, "must be the group's numeric id"},
		"a blank name":              {arguments{"group": "acme", "name": " "}, func(*driver) {}, "must not be blank"},
		"a project beyond 64 bits":  {arguments{"projects": []string{"9223372036854775808"}}, func(*driver) {}, "must be an id from 1 to"},
		"a group beyond 64 bits":    {arguments{"group": "9223372036854775808"}, func(*driver) {}, "must be an id from 1 to"},
		"a group 0":                 {arguments{"group": "0"}, func(*driver) {}, "must be an id from 1 to"},
		"a URL as a group":          {arguments{"group": "https://gitlab.example.com/acme"}, func(*driver) {}, "without a host"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newFleet(t)
			c.spoil(d)
			got, diags := d.coverage(c.arguments)
			if got != nil || !strings.Contains(strings.Join(describe(diags), "\n"), c.says) {
				t.Errorf("got %v with: %s", got["totals"], strings.Join(describe(diags), "\n"))
			}
		})
	}
}

// withNull is a set of a text and a null.
func withNull(text string) tftypes.Value {
	return tftypes.NewValue(tftypes.Set{ElementType: tftypes.String}, []tftypes.Value{
		tftypes.NewValue(tftypes.String, text), tftypes.NewValue(tftypes.String, nil),
	})
}

func fault(match string, status int) func(*driver) {
	return func(d *driver) {
		d.gitlab.Inject(gitlabtest.Fault{Match: match, Status: status, Times: gitlabtest.Always, Skip: 0})
	}
}

// TestCoverage_large: many pages, each read once, and no project twice.
func TestCoverage_large(t *testing.T) {
	d := newDriver(t)
	d.token = d.gitlab.CreateAccessToken(d.gitlab.GroupMember(d.group, gitlabtest.Maintainer), "api")
	const n = 449 // and acme/shop
	for i := range n {
		d.gitlab.CreateProject(fmt.Sprintf("acme/app-%d", i), gitlabtest.ProjectOptions{})
	}
	got, diags := d.coverage(arguments{"group": "acme"})
	if len(diags) > 0 {
		t.Fatal(describe(diags))
	}
	if totals := got["totals"].(map[string]any); totals["uncovered"] != "450" {
		t.Errorf("totals are %v", totals)
	}
	if lists, tokens := d.gitlab.CountRequests(groupPath), d.gitlab.CountRequests(tokensPath); lists != 5 || tokens != 450 {
		t.Errorf("%d pages and %d lists of tokens", lists, tokens)
	}
}

// TestCoverage_tokensRefused: Auto DevOps is shown and the deploy tokens are not, as to
// a custom role.
func TestCoverage_tokensRefused(t *testing.T) {
	d := newDriver(t)
	d.gitlab.Inject(gitlabtest.Fault{Match: tokensPath, Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`, Times: gitlabtest.Always})
	got, diags := d.coverage(arguments{"projects": []string{"acme/shop"}})
	if len(diags) > 0 {
		t.Fatal(describe(diags))
	}
	wantCoverage(t, got, map[string]string{"acme/shop": "required, covered?, hidden"})
	if totals := fmt.Sprint(got["totals"]); totals != "map[covered:0 environments_behind:<nil> environments_without_access:<nil> expiring:0 hidden:1 projects:1 required:1 uncovered:0 unmanaged:0]" {
		t.Errorf("totals are %s", totals)
	}

	d.gitlab.SetVisibility(d.project, "public")
	got, _ = d.coverage(arguments{"projects": []string{"acme/shop"}})
	wantCoverage(t, got, map[string]string{"acme/shop": "not required, covered?"})
}

// TestCoverage_oneProjectsProblem: what GitLab does not tell of one project, or not in a
// readable way, is that project's problem alone.
func TestCoverage_oneProjectsProblem(t *testing.T) {
	granular := `{"error":"insufficient_granular_scope","error_description":"Access denied"}`
	for name, c := range map[string]struct {
		spoil func(d *driver, token gitlabtest.Token)
		says  string
	}{
		"a row of the name":   {func(d *driver, token gitlabtest.Token) { d.gitlab.OverrideToken(token.ID, "revoked", "odd") }, "cannot be read"},
		"a row without an id": {func(d *driver, token gitlabtest.Token) { d.gitlab.OverrideToken(token.ID, "id", "odd") }, "cannot be read"},
		"fine-grained token": {func(d *driver, _ gitlabtest.Token) {
			d.gitlab.Inject(gitlabtest.Fault{Match: tokensPath, Status: 403, Body: granular})
		}, "does not show"},
		"out of reach of a one": {func(d *driver, _ gitlabtest.Token) {
			d.gitlab.Inject(gitlabtest.Fault{Match: tokensPath, Status: 404, Body: `{"message":"404 Not Found"}`})
		}, "does not show"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t)
			token := d.gitlab.CreateDeployToken(d.project, access.DefaultName, "x", time.Time{}, "read_registry")
			c.spoil(d, token)
			got, diags := d.coverage(arguments{"projects": []string{"acme/shop"}})
			if len(diags) > 0 {
				t.Fatal(describe(diags))
			}
			row := got["coverage"].(map[string]any)["acme/shop"].(map[string]any)
			if explanation, _ := row["explanation"].(string); row["hidden"] != true || !strings.Contains(explanation, c.says) {
				t.Errorf("got %v", row)
			}
		})
	}
	t.Run("a row of another name", func(t *testing.T) {
		d := newDriver(t)
		token := d.gitlab.CreateDeployToken(d.project, "another", "x", time.Time{}, "read_registry")
		d.gitlab.OverrideToken(token.ID, "revoked", "odd")
		got, diags := d.coverage(arguments{"projects": []string{"acme/shop"}})
		if len(diags) > 0 || got["totals"].(map[string]any)["uncovered"] != "1" {
			t.Errorf("got %v, %v", got["totals"], describe(diags))
		}
	})
}
