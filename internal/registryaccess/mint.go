package registryaccess

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// cleanupTimeout bounds the revocation of a token that is not published, also
// after the operation was interrupted: long enough for one hint of a throttle.
const cleanupTimeout = 90 * time.Second

// mint makes a token and proves that it pulls. As soon as it exists the state names it
// as one to revoke, whatever happens next. A token that is not proven is revoked.
func (u *apply) mint(a assessment) (gitlab.Minted, error) {
	m := u.base()
	if m.Registry.ValueString() == "" {
		return gitlab.Minted{}, &gitlab.Error{
			Action: "mint a deploy token for project " + m.ProjectPath.ValueString(), Kind: gitlab.KindNoRegistry,
			Said:   "GitLab names no container registry for the project",
			Advice: "The credentials could not be rendered. The registry may be off, or GitLab may not accept the provider's token.",
		}
	}
	minted, err := u.gitlab.MintDeployToken(u.ctx, gitlab.MintRequest{
		ProjectID: m.ProjectID.ValueInt64(), Name: m.Name.ValueString(), Username: m.Username.ValueString(),
		FreshUsername: u.freshUsername, Scopes: m.scopes(), Expiry: a.policy.Schedule.Expiry, Known: a.ownTokens(),
	})
	if err != nil {
		return gitlab.Minted{}, err
	}
	u.saveLeftovers(access.RetiredToken{
		ID: minted.ID, Username: minted.Username, RetiredAt: minted.CreatedAt, RevokeAt: minted.CreatedAt, ExpiresAt: minted.ExpiresAt, Status: access.StatusActive,
	})
	err = u.prove(m, minted)
	if err == nil {
		err = u.sealMinted(m, minted)
	}
	if err != nil {
		// The operation may be over, but nobody else knows this token.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), cleanupTimeout)
		defer cancel()
		if revokeErr := u.gitlab.RevokeDeployToken(cleanup, m.ProjectID.ValueInt64(), minted.ID); revokeErr != nil {
			return gitlab.Minted{}, &leftoverError{cause: fmt.Errorf("%w; then %w", err, revokeErr), ids: []int64{minted.ID}}
		}
		return gitlab.Minted{}, err
	}
	return minted, nil
}

// prove checks that the token is what was asked for, and that it pulls.
func (u *apply) prove(m model, minted gitlab.Minted) error {
	if !minted.ExpiresAt.Equal(minted.WantedExpiry) {
		return &gitlab.Error{
			Action: fmt.Sprintf("mint a deploy token in project %d", m.ProjectID.ValueInt64()), Kind: gitlab.KindNotProven,
			Said: fmt.Sprintf("GitLab did not keep the expiry that was asked for: %s instead of %s",
				describeExpiry(minted.ExpiresAt), describeExpiry(minted.WantedExpiry)),
			Advice: "A token with another lifetime is not published. If the GitLab instance limits the lifetime of tokens, set expiration_days within that limit.",
		}
	}
	if !m.Verify.ValueBool() {
		return nil
	}
	return u.gitlab.VerifyPull(u.ctx, access.RepositoryPath(m.ImagePrefix.ValueString()), minted.Username, minted.Secret)
}

func describeExpiry(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format(time.RFC3339)
}

// base is the state of before, with the arguments that a fresh token is minted with.
func (u *apply) base() model {
	m := u.plan
	m.copyComputed(u.prior)
	m.Username = nextUsername(u.config, u.prior)
	return m
}

// saveLeftovers writes the state of before with tokens that are to be revoked. A failed
// creation keeps nothing but these, for the destroy of the tainted object.
func (u *apply) saveLeftovers(leftovers ...access.RetiredToken) {
	m := u.prior
	if u.creates {
		m = u.base()
		m.setRequirement(u.requirement)
		m.LastChange = types.StringValue("No token: its creation failed.")
	}
	record := m.record()
	m.RetiredTokens = retiredTokensValue(append(slices.Clone(record.Retired), leftovers...))
	u.write(m)
}

// keepLeftovers reports a failed minting, with the state that its tokens need.
func (u *apply) keepLeftovers(err error) {
	defer AddError(u.diags, u.summary, err)
	if _, ok := errors.AsType[*leftoverError](err); ok {
		return // the state names it already
	}
	refused, _ := errors.AsType[*gitlab.Error](err)
	uncertain := refused != nil && refused.Kind == gitlab.KindUncertain
	switch {
	case u.creates && uncertain && u.freshUsername:
		// A fresh username proves whose tokens these are, also those that appear later.
		now := u.gitlab.Now()
		var leftovers []access.RetiredToken
		for _, id := range refused.TokenIDs {
			leftovers = append(leftovers, access.RetiredToken{
				ID: id, Username: u.prior.Username.ValueString(), RetiredAt: now, RevokeAt: now, Status: access.StatusActive,
			})
		}
		u.saveLeftovers(leftovers...)
	case u.creates:
		u.state.RemoveResource(u.ctx)
	default:
		prior := u.prior
		if prior.Username.IsNull() {
			prior.Username = nextUsername(u.config, u.prior) // a token that GitLab may still make carries it
		}
		if uncertain {
			prior.UnmanagedTokenIDs = IDsValue(mergeIDs(prior.UnmanagedTokenIDs, refused.TokenIDs))
		}
		u.write(prior)
	}
}
