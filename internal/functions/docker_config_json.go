// Package functions holds the provider's functions. They are pure: no provider
// configuration, no request.
package functions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

var _ function.Function = DockerConfigJSON{}

// DockerConfigJSON is docker_config_json: it merges several accesses into one docker config.
type DockerConfigJSON struct{}

// The ways to key a docker config.
const (
	byHost        = "host"
	byImagePrefix = "image_prefix"
)

// NewDockerConfigJSON returns the function.
func NewDockerConfigJSON() function.Function { return DockerConfigJSON{} }

// Metadata implements function.Function.
func (DockerConfigJSON) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "docker_config_json"
}

// Definition implements function.Function.
func (DockerConfigJSON) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Merge registry accesses into one docker config",
		MarkdownDescription: "Renders the credentials of one or many `autodevops_registry_access` resources as one docker config, for a Secret of type " +
			"`kubernetes.io/dockerconfigjson`. Accesses that have no token at the moment add nothing; without any, the result is `{\"auths\":{}}`, " +
			"a valid Secret. The same credentials give the same bytes.",
		Parameters: []function.Parameter{
			function.DynamicParameter{
				Name: "accesses",
				MarkdownDescription: "A registry access, or a list or map of them. Any object with `docker_config_json` and `image_prefix` will do, " +
					"and so will one with `registry` or `image_prefix`, `username` and `password`.",
			},
			function.StringParameter{
				Name: "keyed_by",
				MarkdownDescription: "`image_prefix` keys each credential by its project, as in `registry.example.com/acme/shop`: kubelet then takes the right " +
					"one for each image, also of several projects in one registry. `host` keys by the registry alone, as the resource does, and so takes " +
					"one credential for each registry.",
			},
		},
		Return: function.StringReturn{},
	}
}

// Run implements function.Function.
func (DockerConfigJSON) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var accesses types.Dynamic
	var keyedBy string
	if resp.Error = req.Arguments.Get(ctx, &accesses, &keyedBy); resp.Error != nil {
		return
	}
	if keyedBy != byHost && keyedBy != byImagePrefix {
		resp.Error = function.NewArgumentFuncError(1, fmt.Sprintf("keyed_by must be %q or %q, got %q", byHost, byImagePrefix, keyedBy))
		return
	}

	result := types.StringUnknown()
	credentials, known, err := collect(accesses.UnderlyingValue(), keyedBy)
	if err == nil && known {
		var rendered string
		rendered, err = access.MergeDockerConfig(credentials)
		result = types.StringValue(rendered)
	}
	if conflict, ok := errors.AsType[*access.ConflictingKeyError](err); ok {
		hint := "Give each pod the credentials of one access, or a Secret for each"
		if keyedBy == byHost {
			hint = fmt.Sprintf("Use keyed_by = %q", byImagePrefix)
		}
		resp.Error = function.NewArgumentFuncError(0, fmt.Sprintf("There are %v, and a docker config holds one for each key. %s", conflict, hint))
		return
	}
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, err.Error())
		return
	}
	resp.Error = resp.Result.Set(ctx, result)
}

// collect reads one access or a collection of them. It is not known while any
// part that matters is unknown.
func collect(value attr.Value, keyedBy string) (credentials []access.Credential, known bool, err error) {
	if value == nil || value.IsNull() {
		return nil, false, errors.New("an access is null")
	}
	if value.IsUnknown() {
		return nil, false, nil
	}
	var elements []attr.Value
	switch value := value.(type) {
	case types.Object:
		return credentialsOf(value.Attributes(), keyedBy)
	case types.List:
		elements = value.Elements()
	case types.Set:
		elements = value.Elements()
	case types.Tuple:
		elements = value.Elements()
	case types.Map:
		elements = slices.Collect(maps.Values(value.Elements()))
	default:
		return nil, false, errors.New("accesses must be a registry access, or a list or map of them")
	}
	return collectAll(elements, keyedBy)
}

func collectAll(elements []attr.Value, keyedBy string) (credentials []access.Credential, known bool, err error) {
	known = true
	for _, element := range elements {
		more, moreKnown, err := collect(element, keyedBy)
		if err != nil {
			return nil, false, err
		}
		credentials = append(credentials, more...)
		known = known && moreKnown
	}
	return credentials, known, nil
}

// credentialsOf reads an object: an access, a plain login, or a collection of
// either by name.
func credentialsOf(attributes map[string]attr.Value, keyedBy string) ([]access.Credential, bool, error) {
	if _, isAccess := attributes["docker_config_json"]; isAccess {
		config, known, err := textOf(attributes, "docker_config_json")
		if err != nil || !known {
			return nil, known, err
		}
		credentials, err := access.ReadDockerConfig(config)
		if err != nil {
			return nil, true, fmt.Errorf("docker_config_json cannot be used: %w", err)
		}
		if len(credentials) == 0 || keyedBy == byHost {
			return credentials, true, nil
		}
		prefix, known, err := textOf(attributes, "image_prefix")
		if err != nil || !known {
			return nil, known, err
		}
		for i := range credentials {
			credentials[i].Key = prefix
		}
		return credentials, true, nil
	}
	if _, isLogin := attributes["password"]; isLogin {
		return loginOf(attributes, keyedBy)
	}

	elements := make([]attr.Value, 0, len(attributes))
	for name, element := range attributes {
		if _, isObject := element.(types.Object); !isObject {
			return nil, false, fmt.Errorf("%s is neither a registry access nor an object with a password", name)
		}
		elements = append(elements, element)
	}
	return collectAll(elements, keyedBy)
}

func loginOf(attributes map[string]attr.Value, keyedBy string) ([]access.Credential, bool, error) {
	at := "registry"
	if _, hasPrefix := attributes["image_prefix"]; hasPrefix && (keyedBy == byImagePrefix || attributes["registry"] == nil) {
		at = "image_prefix"
	}
	values := map[string]string{}
	for _, name := range []string{at, "username", "password"} {
		value, known, err := textOf(attributes, name)
		if err != nil || !known {
			return nil, known, err
		}
		values[name] = value
	}
	key := values[at]
	if keyedBy == byHost {
		key = access.RegistryHost(key)
	}
	return []access.Credential{{Key: key, Username: values["username"], Password: access.Secret(values["password"])}}, true, nil
}

// textOf reads a string that must be there; not known is not an error.
func textOf(attributes map[string]attr.Value, name string) (text string, known bool, err error) {
	value, isString := attributes[name].(types.String)
	switch {
	case isString && value.IsUnknown():
		return "", false, nil
	case !isString || value.ValueString() == "":
		return "", true, fmt.Errorf("%s is missing", name)
	}
	return value.ValueString(), true, nil
}
