package registryaccess

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// cleanupTimeout bounds the revocation of a token that is not published, also
// after the operation was interrupted: long enough for one hint of a throttle.
const cleanupTimeout = 90 * time.Second

// minted is a fresh token that may be published.
type minted struct {
	token    access.Token
	username string
	secret   access.Secret
}

// mintError says why there is no fresh token.
type mintError struct {
	cause error
	// leftover: the token that was made lives on, and the state that the callback wrote names it.
	leftover bool
	id       int64
}

func (e *mintError) Error() string {
	if !e.leftover {
		return e.cause.Error()
	}
	return fmt.Sprintf("%v. The new deploy token %d could not be revoked again, so it is in the state as a retired one, and the next apply revokes it", e.cause, e.id)
}

func (e *mintError) Unwrap() error { return e.cause }

// mint makes a token and proves that it pulls. As soon as it exists, suspend is
// called with it as a token to revoke, so that whatever happens next the state
// knows it. A token that is not proven is revoked.
func (r *Resource) mint(ctx context.Context, next model, a assessment, suspend func(access.RetiredToken)) (minted, *mintError) {
	scopes, diags := next.scopes(ctx)
	if diags.HasError() {
		return minted{}, &mintError{cause: fmt.Errorf("read the scopes: %s", diags[0].Detail())}
	}
	if next.Registry.ValueString() == "" {
		return minted{}, &mintError{cause: &gitlab.Error{
			Action: "mint a deploy token for project " + next.ProjectPath.ValueString(), Kind: gitlab.KindNoRegistry,
			Said:   "GitLab names no container registry for the project",
			Advice: "The credentials could not be rendered. The registry may be off, or the provider's token not accepted.",
		}}
	}
	now := r.backend.Now().UTC().Truncate(time.Second)
	expiresAt := a.schedule.Expiry(now)
	made, err := r.backend.GitLab.MintDeployToken(ctx, gitlab.MintRequest{
		ProjectID: next.ProjectID.ValueInt64(), Name: next.Name.ValueString(), Username: next.Username.ValueString(),
		Scopes: scopes, ExpiresAt: expiresAt, Known: ownTokens(a.record, a.verdicts),
	})
	if err != nil {
		return minted{}, &mintError{cause: err}
	}
	suspend(access.RetiredToken{ID: made.ID, RetiredAt: now, RevokeAt: now, ExpiresAt: made.ExpiresAt})

	if err := r.prove(ctx, next, made, expiresAt); err != nil {
		// The operation may be over, but nobody else knows this token.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if revokeErr := r.backend.GitLab.RevokeDeployToken(cleanup, next.ProjectID.ValueInt64(), made.ID); revokeErr != nil {
			return minted{}, &mintError{cause: fmt.Errorf("%w; then %w", err, revokeErr), leftover: true, id: made.ID}
		}
		return minted{}, &mintError{cause: err}
	}
	return minted{
		token: access.Token{
			ID: made.ID, CreatedAt: now, ExpiresAt: made.ExpiresAt,
			RotateAt: a.schedule.RotateAt(now, made.ExpiresAt), SecretKnown: true,
		},
		username: made.Username,
		secret:   made.Secret,
	}, nil
}

// prove checks that the token is what was asked for, and that it pulls.
func (r *Resource) prove(ctx context.Context, next model, made gitlab.Minted, expiresAt time.Time) error {
	if !made.ExpiresAt.Equal(expiresAt) {
		return &gitlab.Error{
			Action: fmt.Sprintf("mint a deploy token in project %d", next.ProjectID.ValueInt64()), Kind: gitlab.KindNotProven,
			Said:   "GitLab did not keep the expiry that was asked for",
			Advice: "A token that lives longer than asked is not published. This GitLab is not supported; please report it.",
		}
	}
	if !next.Verify.ValueBool() {
		return nil
	}
	return r.backend.GitLab.VerifyPull(ctx, access.RepositoryPath(next.ImagePrefix.ValueString()), made.Username, made.Secret)
}

// publish hands out the credentials.
func (m *model) publish(t minted) {
	m.Token = types.StringValue(t.secret.Reveal())
	m.DockerConfigJSON = types.StringValue(access.DockerConfig(m.Registry.ValueString(), t.username, t.secret))
}
