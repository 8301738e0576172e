package registryaccess

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

const importForms = `Import by one of:
  PROJECT:TOKEN_ID  as in "acme/shop:42" or "7:42"
  PROJECT           if exactly one working token is named "` + access.DefaultName + `" or, failing that, "` + access.GitLabName + `"
  identity          { project_id, name } (CLIs that know resource identities)`

// ImportState implements resource.ResourceWithImportState. The secret cannot be
// read back, so the first apply mints a new token and retires the imported one.
func (r *Resource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if r.backend == nil {
		resp.Diagnostics.AddError("Cannot import without a configured provider", "Set base_url and token to values that are known before the import.")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()

	target, ok := r.importTarget(ctx, req, &resp.Diagnostics)
	if !ok {
		return
	}
	summary := fmt.Sprintf("Cannot import the registry access of project %s", target.project)
	s, err := r.find(ctx, target.project)
	if err != nil {
		AddError(&resp.Diagnostics, summary, err)
		return
	}
	token, problem := target.choose(s.tokens, r)
	if problem != "" {
		resp.Diagnostics.AddError(summary, problem)
		return
	}
	if target.byIdentity {
		target.project = s.project.Path
	}

	state := emptyModel()
	state.Project = types.StringValue(target.project)
	state.setProject(s.project, false)
	state.Name = types.StringValue(token.Name)
	// The username stays open, so that a configuration generated from this state
	// holds none. The take-over's own is already chosen, because it marks the tokens
	// of an apply that dies.
	resp.Diagnostics.Append(writePrivate(ctx, resp.Private, resp.Private, usernameKey, access.NewUsername(s.project.ID))...)
	state.Scopes = scopesValue(token.Scopes)
	state.setRecord(access.Record{Current: &access.Token{ID: token.ID, ExpiresAt: token.ExpiresAt}})
	state.withdrawCredentials()
	resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state)...)
}

// importTarget is what an import asks for.
type importTarget struct {
	project    string
	tokenID    int64
	names      []string
	byIdentity bool
}

func (r *Resource) importTarget(ctx context.Context, req resource.ImportStateRequest, diags *diag.Diagnostics) (importTarget, bool) {
	if req.ID == "" {
		var identity identityModel
		if req.Identity == nil || req.Identity.Raw.IsNull() || !req.Identity.Raw.IsFullyKnown() {
			diags.AddError("Invalid import", importForms)
			return importTarget{}, false
		}
		diags.Append(req.Identity.Get(ctx, &identity)...)
		return importTarget{
			project: fmt.Sprint(identity.ProjectID.ValueInt64()), names: []string{identity.Name.ValueString()}, byIdentity: true,
		}, !diags.HasError()
	}
	project, token, hasToken := strings.Cut(req.ID, ":")
	target := importTarget{project: project, names: []string{access.DefaultName, access.GitLabName}}
	if !validProject.MatchString(project) {
		diags.AddError("Invalid import id", fmt.Sprintf("%q does not begin with a project's numeric id or full path. %s", req.ID, importForms))
		return importTarget{}, false
	}
	if hasToken {
		id, err := strconv.ParseInt(token, 10, 64)
		if err != nil || id <= 0 {
			diags.AddError("Invalid import id", fmt.Sprintf("%q is not the numeric id of a deploy token. %s", token, importForms))
			return importTarget{}, false
		}
		target.tokenID = id
	}
	return target, true
}

// choose finds the token to import. The problem is for people; empty if there is none.
func (t importTarget) choose(tokens []access.DeployToken, r *Resource) (token access.DeployToken, problem string) {
	now := r.backend.Now()
	if t.tokenID != 0 {
		for _, token := range tokens {
			switch {
			case token.ID != t.tokenID:
				continue
			case token.CanPull(now):
				return token, ""
			case token.Active(now):
				return token, fmt.Sprintf("Deploy token %d (%q) lacks the scope read_registry, so it is not a registry token.", token.ID, token.Name)
			default:
				return token, fmt.Sprintf("Deploy token %d (%q) is revoked or expired. There is nothing to take over: leave the import out, and a new one is minted.", token.ID, token.Name)
			}
		}
		return access.DeployToken{}, fmt.Sprintf("The project has no deploy token %d. %s", t.tokenID, describeWorking(tokens, now))
	}
	for _, name := range t.names {
		working := slices.DeleteFunc(slices.Clone(tokens), func(token access.DeployToken) bool {
			return token.Name != name || !token.CanPull(now)
		})
		switch len(working) {
		case 0:
			continue
		case 1:
			return working[0], ""
		default:
			return access.DeployToken{}, fmt.Sprintf(
				"The project has several working deploy tokens named %q: %s. Choose one of them: import %s:TOKEN_ID.",
				name, listIDs(access.IDs(working)), t.project)
		}
	}
	return access.DeployToken{}, fmt.Sprintf(
		"The project has no working deploy token named %s. There is nothing to take over: leave the import out, and a new one is minted; or name the token: import %s:TOKEN_ID.",
		quoteAll(t.names), t.project)
}

// describeWorking lists the tokens that could be imported instead.
func describeWorking(tokens []access.DeployToken, now time.Time) string {
	var working []string
	for _, token := range tokens {
		if token.CanPull(now) {
			working = append(working, fmt.Sprintf("%d (%q)", token.ID, token.Name))
		}
	}
	if len(working) == 0 {
		return "It has none that could be imported: leave the import out, and a new one is minted."
	}
	return "Its working registry tokens are: " + strings.Join(working, ", ") + "."
}

func quoteAll(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, strconv.Quote(name))
	}
	return strings.Join(quoted, " or ")
}

func scopesValue(scopes []string) types.Set {
	elements := make([]attr.Value, 0, len(scopes))
	for _, scope := range scopes {
		elements = append(elements, types.StringValue(scope))
	}
	return types.SetValueMust(types.StringType, elements)
}

// emptyModel is a state in which nothing is set.
func emptyModel() model {
	operations := map[string]attr.Type{
		"create": types.StringType, "read": types.StringType, "update": types.StringType, "delete": types.StringType,
	}
	return model{
		Scopes:   types.SetNull(types.StringType),
		Rotation: types.ObjectNull(rotationType), RotateWhenChanged: types.MapNull(types.StringType),
		Timeouts: timeouts.Value{Object: types.ObjectNull(operations)},
		Facts:    types.ObjectNull(factsType), RetiredTokens: retiredTokensValue(nil), UnmanagedTokenIDs: idsValue(nil),
	}
}
