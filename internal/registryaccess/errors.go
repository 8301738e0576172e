package registryaccess

import (
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/gitlab"
)

// AddError turns an error of GitLab into a diagnostic: what could not be done, what
// GitLab answered, what to do.
func AddError(diags *diag.Diagnostics, summary string, err error) {
	diags.AddError(summary, DescribeError(err))
}

// DescribeError is the detail of an error of GitLab.
func DescribeError(err error) string {
	var refused *gitlab.Error
	if !errors.As(err, &refused) {
		return Capitalize(err.Error()) + "."
	}
	said := refused.Error()
	if unclean, ok := errors.AsType[*leftoverError](err); ok {
		said = unclean.Error()
	}
	detail := Capitalize(said) + "."
	if refused.Advice != "" {
		detail += "\n\n" + refused.Advice
	}
	return detail
}

// AddUndecidable reports a requirement that cannot be decided. Nothing is ever revoked because of one.
func AddUndecidable(diags *diag.Diagnostics, project string, err error) {
	var undecidable *access.UndecidableError
	if !errors.As(err, &undecidable) {
		diags.AddError("Cannot decide whether "+project+" needs registry access", err.Error())
		return
	}
	at := path.Root(undecidable.Fact)
	summary := fmt.Sprintf("Cannot decide whether project %s needs registry access", project)
	const destroy = " To destroy the resource all the same, use -refresh=false."
	switch {
	case undecidable.Fact == "auto_devops_enabled":
		diags.AddAttributeError(at, summary,
			"GitLab does not say whether Auto DevOps is on: it hides auto_devops_enabled from users below the Maintainer role.\n\n"+
				"Give the provider's user the Maintainer role in the project, set auto_devops_enabled, or set mode to \"always\" or \"never\". Nothing was changed."+destroy)
	case undecidable.Value != "":
		diags.AddAttributeError(at, summary, fmt.Sprintf(
			"GitLab answered %s = %q, a value that this version of the provider does not know.\n\n"+
				"Set %s, or set mode to \"always\" or \"never\", or use a newer version of the provider. Nothing was changed."+destroy,
			undecidable.Fact, undecidable.Value, undecidable.Fact))
	default:
		diags.AddAttributeError(at, summary, fmt.Sprintf(
			"GitLab does not say the project's %s. It leaves that out for anonymous callers.\n\n"+
				"Check the provider's token, set %s, or set mode to \"always\" or \"never\". Nothing was changed."+destroy,
			undecidable.Fact, undecidable.Fact))
	}
}

// leftoverError is a token that is not published and could not be revoked either. It is
// in the state.
type leftoverError struct {
	cause error
	ids   []int64
}

func (e *leftoverError) Error() string {
	return fmt.Sprintf("%v. The new deploy token %s could not be revoked. It is in the state as a retired token, and the next apply revokes it",
		e.cause, listIDs(e.ids))
}

func (e *leftoverError) Unwrap() error { return e.cause }
