// Package registrycoverage holds the autodevops_registry_coverage data source: which
// projects of a group or list need registry access, and which have it.
package registrycoverage

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"golang.org/x/sync/errgroup"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/arguments"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
	"github.com/autodevops/terraform-provider-autodevops/internal/registryaccess"
)

const (
	// coverageTimeout is for ten thousand projects under the limits of GitLab.com.
	coverageTimeout = 20 * time.Minute
	// projectsAtOnce is how many projects are looked at side by side: as many as
	// Terraform itself does by default.
	projectsAtOnce = 10
)

var (
	_ datasource.DataSource                   = (*DataSource)(nil)
	_ datasource.DataSourceWithConfigure      = (*DataSource)(nil)
	_ datasource.DataSourceWithValidateConfig = (*DataSource)(nil)
)

// DataSource is the autodevops_registry_coverage data source: which
// projects of a fleet need registry access, and which have it.
type DataSource struct{ registryaccess.Configured }

// NewDataSource returns the data source.
func NewDataSource() datasource.DataSource { return &DataSource{} }

// Metadata implements datasource.DataSource.
func (d *DataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_registry_coverage"
}

// ValidateConfig implements datasource.DataSourceWithValidateConfig.
func (d *DataSource) ValidateConfig(ctx context.Context, req datasource.ValidateConfigRequest, resp *datasource.ValidateConfigResponse) {
	var m model
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	arguments.CheckTimeouts(m.Timeouts.Attributes(), &resp.Diagnostics)
}

// Read implements datasource.DataSource.
func (d *DataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m model
	if !d.Begin(ctx, req, resp, &m) {
		return
	}
	timeout, diags := m.Timeouts.Read(ctx, coverageTimeout)
	resp.Diagnostics.Append(diags...)
	s, diags := m.report(ctx, d.GitLab)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	err := s.run(ctx)
	if err == nil {
		err = d.GitLab.CheckClock()
	}
	if err != nil {
		registryaccess.AddError(&resp.Diagnostics, "Cannot read the registry coverage of "+s.subject(), err)
		return
	}
	m.fill(s)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// report is what is found out about many projects.
type report struct {
	gitlab *gitlab.Client

	// Either group or projects is set.
	group        string
	projects     []string
	filter       gitlab.GroupFilter
	exclude      []string
	onlyRequired bool
	name         string
	within       time.Duration
	environments bool

	mu    sync.Mutex
	found map[string]projectReport
}

// projectReport is what is found out about one project.
type projectReport struct {
	projectID int64
	// requirement is nil if it cannot be decided.
	requirement *access.Requirement
	// coverage is nil if the tokens are hidden.
	coverage *access.Coverage
	// hidden says what is hidden of what matters; empty if nothing is.
	hidden string
	// environments is known if they were asked for, and GitLab shows them.
	environments registryaccess.EnvironmentReport
}

func (f projectReport) required() bool  { return f.requirement != nil && f.requirement.Required }
func (f projectReport) covered() bool   { return f.coverage != nil && f.coverage.Token != nil }
func (f projectReport) unmanaged() bool { return f.coverage != nil && len(f.coverage.Unmanaged) > 0 }

func (f projectReport) uncovered() bool { return f.required() && f.coverage != nil && !f.covered() }
func (f projectReport) isHidden() bool  { return f.hidden != "" }

func (s *report) expiring(f projectReport) bool {
	return f.required() && f.coverage != nil && f.coverage.Expiring(s.gitlab.Now(), s.within)
}

// report reads the arguments.
func (m *model) report(ctx context.Context, client *gitlab.Client) (*report, diag.Diagnostics) {
	s := &report{
		gitlab: client, found: map[string]projectReport{},
		group:        m.Group.ValueString(),
		onlyRequired: m.OnlyRequired.ValueBool(),
		environments: m.AskEnvironments.ValueBool(),
		name:         access.DefaultName,
		within:       defaultExpiringWithinDays * 24 * time.Hour,
		filter: gitlab.GroupFilter{
			DirectOnly:      !m.IncludeSubgroups.IsNull() && !m.IncludeSubgroups.ValueBool(),
			WithoutArchived: !m.IncludeArchived.IsNull() && !m.IncludeArchived.ValueBool(),
		},
	}
	if !m.Name.IsNull() {
		s.name = m.Name.ValueString()
	}
	if days := arguments.Days(m.ExpiringWithinDays); days != nil {
		s.within = time.Duration(min(*days, mostExpiringWithinDays)) * 24 * time.Hour
	}
	var diags diag.Diagnostics
	if !m.Projects.IsNull() {
		diags.Append(m.Projects.ElementsAs(ctx, &s.projects, false)...)
	}
	if !m.Exclude.IsNull() {
		diags.Append(m.Exclude.ElementsAs(ctx, &s.exclude, false)...)
	}
	slices.Sort(s.projects)
	return s, diags
}

func (s *report) subject() string {
	if s.group != "" {
		return "group " + s.group
	}
	return s.id()
}

func (s *report) id() string {
	if s.group != "" {
		return s.group
	}
	return strings.Join(s.projects, ",")
}

// run looks at all projects. A project that GitLab hides is a projectReport; any other
// failure fails the read: a partial result could pass for a complete one.
func (s *report) run(ctx context.Context) error {
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(projectsAtOnce)
	var listing error
	if s.group != "" {
		listing = s.gitlab.GroupProjects(ctx, s.group, s.filter, func(p gitlab.Project) error {
			if !s.excluded(p.Path) {
				workers.Go(func() error { return s.inspect(ctx, p) })
			}
			return ctx.Err()
		})
	}
	checkToken := sync.OnceValue(func() error { return s.gitlab.KnowsToken(ctx) })
	for _, ref := range s.projects {
		workers.Go(func() error { return s.inspectListed(ctx, ref, checkToken) })
	}
	if err := workers.Wait(); err != nil { // before the list's error, which may be only the end that this one has put to it
		return err
	}
	return listing
}

func (s *report) excluded(projectPath string) bool {
	projectPath = strings.ToLower(projectPath)
	return slices.ContainsFunc(s.exclude, func(excluded string) bool {
		excluded = strings.ToLower(excluded)
		return projectPath == excluded || strings.HasPrefix(projectPath, excluded+"/")
	})
}

const (
	hiddenProject = "GitLab shows no such project: it does not exist, or the provider's user has no access to it."
	// Also the whole instance can be in the middle of a change.
	hiddenRegistry = "GitLab names no container registry for the project."
	hiddenRole     = "GitLab does not say whether Auto DevOps is on: it hides that from users below the Maintainer role."
	hiddenRow      = "GitLab's list of the project's deploy tokens cannot be read."
	hiddenList     = "GitLab does not show the project's deploy tokens: it hides them from users below the Maintainer role."
)

// inspectListed looks at a project of the explicit list. One that is missing is a projectReport
// only if GitLab knows the provider's token: to an anonymous caller all are missing.
func (s *report) inspectListed(ctx context.Context, ref string, checkToken func() error) error {
	p, err := s.gitlab.Project(ctx, ref)
	switch {
	case gitlab.IsHidden(err):
		if err = checkToken(); err != nil {
			return err
		}
		s.add(ref, projectReport{hidden: hiddenProject})
		return nil
	case err != nil:
		return err
	}
	return s.inspect(ctx, p)
}

// inspect decides about one project, and reads its tokens if that can tell more.
func (s *report) inspect(ctx context.Context, p gitlab.Project) error {
	f := projectReport{projectID: p.ID}
	requirement, err := access.Require(access.ModeAuto, p.Facts)
	if err != nil {
		f.hidden = hiddenRole
		if undecidable := (*access.UndecidableError)(nil); errors.As(err, &undecidable) && undecidable.Fact != "auto_devops_enabled" {
			f.hidden = registryaccess.Capitalize(undecidable.Error()) + "."
		}
		s.add(p.Path, f)
		return nil
	}
	if requirement.RegistryMissing {
		f.hidden = hiddenRegistry
		s.add(p.Path, f)
		return nil
	}
	f.requirement = &requirement
	if s.onlyRequired && !requirement.Required {
		return nil
	}
	// Whoever may list the tokens also sees this.
	if p.Facts.AutoDevOps != nil {
		list, err := s.gitlab.DeployTokens(ctx, p.ID)
		unreadable := slices.IndexFunc(list.Unreadable, func(row gitlab.UnreadableToken) bool { return row.Name == s.name })
		switch {
		case gitlab.IsHidden(err):
			if requirement.Required {
				f.hidden = hiddenList
			}
		case gitlab.IsKind(err, gitlab.KindUnreadable):
			f.hidden = hiddenRow
		case err != nil:
			return err
		case unreadable >= 0:
			f.hidden = list.Unreadable[unreadable].Err().Error() + "."
		default:
			coverage := access.Cover(s.gitlab.Now(), p.ID, list.Tokens, s.name)
			f.coverage = &coverage
			if s.environments {
				f.environments, err = registryaccess.ReportEnvironments(ctx, s.gitlab, p, requirement.Required, list.Tokens)
				if err != nil {
					return err
				}
			}
		}
	}
	s.add(p.Path, f)
	return nil
}

func (s *report) add(key string, f projectReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found[key] = f
}

// fill writes the results.
func (m *model) fill(s *report) {
	m.ID = types.StringValue(s.id())
	rows := map[string]attr.Value{}
	for key, f := range s.found {
		rows[key] = s.row(f)
	}
	m.Coverage = types.MapValueMust(coverageType, rows)

	keys := slices.Sorted(maps.Keys(s.found))
	totals := map[string]attr.Value{}
	for name, kind := range map[string]struct {
		is func(projectReport) bool
		// list is where their paths go; nil for what is only counted.
		list *types.List
	}{
		"projects":  {is: func(projectReport) bool { return true }},
		"required":  {is: projectReport.required},
		"covered":   {is: func(f projectReport) bool { return f.required() && f.covered() }},
		"uncovered": {is: projectReport.uncovered, list: &m.Uncovered},
		"expiring":  {is: s.expiring, list: &m.Expiring},
		"unmanaged": {is: projectReport.unmanaged, list: &m.Unmanaged},
		"hidden":    {is: projectReport.isHidden, list: &m.Hidden},
	} {
		paths := []attr.Value{}
		for _, key := range keys {
			if kind.is(s.found[key]) {
				paths = append(paths, types.StringValue(key))
			}
		}
		totals[name] = types.Int64Value(int64(len(paths)))
		if kind.list != nil {
			*kind.list = types.ListValueMust(types.StringType, paths)
		}
	}
	totals["environments_behind"], totals["environments_without_access"] = s.environmentTotals()
	m.Totals = types.ObjectValueMust(totalsType, totals)
}

// environmentTotals counts environments; null if they were not asked for.
func (s *report) environmentTotals() (behind, withoutAccess types.Int64) {
	if !s.environments {
		return types.Int64Null(), types.Int64Null()
	}
	var b, w int64
	for _, f := range s.found {
		b += f.environments.Behind
		w += f.environments.WithoutAccess
	}
	return types.Int64Value(b), types.Int64Value(w)
}

func (s *report) row(f projectReport) attr.Value {
	row := map[string]attr.Value{
		"project_id": types.Int64Null(), "required": types.BoolNull(), "reason": types.StringNull(), "explanation": types.StringValue(f.hidden),
		"hidden": types.BoolValue(f.isHidden()), "covered": types.BoolNull(), "token_id": types.Int64Null(), "expires_at": registryaccess.TimeValue(time.Time{}),
		"expiring": types.BoolNull(), "unmanaged_token_ids": types.ListNull(types.Int64Type),
		"deployed_environments": f.environments.Value(),
	}
	if f.projectID != 0 {
		row["project_id"] = types.Int64Value(f.projectID)
	}
	if f.requirement != nil {
		row["required"] = types.BoolValue(f.requirement.Required)
		row["reason"] = types.StringValue(string(f.requirement.Reason))
		if !f.isHidden() {
			row["explanation"] = types.StringValue(f.requirement.Reason.Explanation())
		}
	}
	if f.coverage != nil {
		row["covered"] = types.BoolValue(f.covered())
		row["expiring"] = types.BoolValue(s.expiring(f))
		row["unmanaged_token_ids"] = registryaccess.IDsValue(f.coverage.Unmanaged)
	}
	if f.covered() {
		row["token_id"] = types.Int64Value(f.coverage.Token.ID)
		row["expires_at"] = registryaccess.TimeValue(f.coverage.Token.ExpiresAt)
	}
	return types.ObjectValueMust(coverageType.AttrTypes, row)
}
