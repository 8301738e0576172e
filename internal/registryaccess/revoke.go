package registryaccess

import (
	"context"
	"fmt"
	"slices"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// revoker deletes deploy tokens by the ids in a state. GitLab's list of this call must
// show that an id still means the token that the state means: base_url may lead to
// another GitLab, where the same id is somebody else's.
type revoker struct {
	gitlab    *gitlab.Client
	projectID int64
	state     model
	record    access.Record
	origin    origin
	list      gitlab.TokenList
	// others are ids that mean somebody else's tokens now.
	others []int64
}

// listed reports whether GitLab's list has the id.
func (r *revoker) listed(id int64) bool {
	_, ok := r.find(id)
	return ok
}

// revoke deletes a token. One that is gone already counts as deleted.
func (r *revoker) revoke(ctx context.Context, id int64) error {
	found, ok := r.find(id)
	if !ok {
		token, err := r.gitlab.DeployToken(ctx, r.projectID, id)
		if gitlab.IsKind(err, gitlab.KindTokenNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		found = markOf(token)
	}
	if !r.means(id, found) {
		if r.origin.GitLab == r.gitlab.Root() {
			// This GitLab has given the id again, so the state's own token is gone.
			r.others = append(r.others, id)
			return nil
		}
		return fmt.Errorf("deploy token %d of project %d is named %q with the username %q, so it is not the one in the state. It was left alone. Is base_url the right GitLab? "+
			"If it is, refresh and apply again", id, r.projectID, r.gitlab.Quote(found.Name), r.gitlab.Quote(found.Username))
	}
	return r.gitlab.RevokeDeployToken(ctx, r.projectID, id)
}

// find looks for the token in the list.
func (r *revoker) find(id int64) (mark, bool) {
	for _, t := range r.list.Tokens {
		if t.ID == id {
			return markOf(t), true
		}
	}
	for _, row := range r.list.Unreadable {
		if row.ID == id {
			return mark{Name: row.Name, Username: row.Username}, true
		}
	}
	return mark{}, false
}

// means reports whether the state means that token by the id: by its mark, or without
// one by its username. Terraform keeps no private state of a tainted object, so there are
// no marks when it is destroyed. States of 0.1.0 have neither for retired tokens; there,
// the token must look like one of the resource.
func (r *revoker) means(id int64, found mark) bool {
	if known, ok := r.origin.Tokens[id]; ok {
		return known == found
	}
	if username := r.usernameOf(id); username != "" {
		return found.Username == username
	}
	if current := r.record.Current; current != nil && current.ID == id && !current.SecretKnown {
		return found.Name == r.state.Name.ValueString() // imported, and not taken over yet
	}
	foreign := !access.ReservedUsername.MatchString(found.Username) && (found.Name == access.GitLabName || found.Name == r.state.Name.ValueString())
	return found.Username == r.state.Username.ValueString() || foreign
}

// usernameOf is the username of a token of the record; empty if it is not known.
func (r *revoker) usernameOf(id int64) string {
	if current := r.record.Current; current != nil && current.ID == id {
		if current.Username == "" && current.SecretKnown {
			return r.state.Username.ValueString() // its credentials are sealed
		}
		return current.Username
	}
	for _, t := range r.record.Retired {
		if t.ID == id {
			return t.Username
		}
	}
	return ""
}

// elsewhere reports whether the state is about a GitLab at another address than the client's.
func (o origin) elsewhere(client *gitlab.Client) bool {
	return o.GitLab != "" && o.GitLab != client.Root()
}

// marksAnyOf reports whether any of the tokens is certainly one of the state's. GitLab's
// default usernames are made of the id, so they are the same in every GitLab.
func (o origin) marksAnyOf(tokens []access.DeployToken) bool {
	return slices.ContainsFunc(tokens, func(t access.DeployToken) bool {
		known, ok := o.Tokens[t.ID]
		return ok && known == markOf(t) && known.Username != fmt.Sprintf("gitlab+deploy-token-%d", t.ID)
	})
}
