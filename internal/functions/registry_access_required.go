package functions

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

var _ function.Function = RegistryAccessRequired{}

// RegistryAccessRequired is registry_access_required: the decision as a function of facts.
type RegistryAccessRequired struct{}

var decisionType = map[string]attr.Type{
	"required": types.BoolType, "reason": types.StringType, "explanation": types.StringType,
}

// NewRegistryAccessRequired returns the function.
func NewRegistryAccessRequired() function.Function { return RegistryAccessRequired{} }

// Metadata implements function.Function.
func (RegistryAccessRequired) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "registry_access_required"
}

// Definition implements function.Function.
func (RegistryAccessRequired) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Decide whether a project needs registry access",
		MarkdownDescription: "The decision of `autodevops_registry_access` as a function of a project's facts, for policies and tests. It asks GitLab nothing. " +
			"The result is an object with `required`, `reason` and `explanation`, as the resource has them.",
		Parameters: []function.Parameter{
			function.StringParameter{Name: "visibility", MarkdownDescription: "The project's visibility: `private`, `internal` or `public`."},
			function.StringParameter{Name: "container_registry_access_level", MarkdownDescription: "The project's container registry access level: `enabled`, `private` or `disabled`."},
			function.BoolParameter{Name: "auto_devops_enabled", MarkdownDescription: "Whether Auto DevOps is on, inherited or not. Null if it is not known, which is an error where it matters.", AllowNullValue: true},
		},
		Return: function.ObjectReturn{AttributeTypes: decisionType},
	}
}

// Run implements function.Function.
func (RegistryAccessRequired) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var visibility, level string
	var autoDevOps *bool
	if resp.Error = req.Arguments.Get(ctx, &visibility, &level, &autoDevOps); resp.Error != nil {
		return
	}
	requirement, err := access.Require(access.ModeAuto, access.Facts{
		Visibility: visibility, RegistryAccessLevel: level, AutoDevOps: autoDevOps,
		ImagePrefix: "registry/project", // the registry of the instance is taken to be on
	})
	if undecidable, ok := errors.AsType[*access.UndecidableError](err); ok {
		arguments := map[string]int64{"visibility": 0, "container_registry_access_level": 1, "auto_devops_enabled": 2}
		message := fmt.Sprintf("%s is not known, and the decision depends on it", undecidable.Fact)
		if undecidable.Value != "" {
			message = fmt.Sprintf("%s has no value %q", undecidable.Fact, undecidable.Value)
		}
		resp.Error = function.NewArgumentFuncError(arguments[undecidable.Fact], message)
		return
	}
	resp.Error = resp.Result.Set(ctx, types.ObjectValueMust(decisionType, map[string]attr.Value{
		"required":    types.BoolValue(requirement.Required),
		"reason":      types.StringValue(string(requirement.Reason)),
		"explanation": types.StringValue(requirement.Reason.Explanation()),
	}))
}
