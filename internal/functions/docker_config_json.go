// Package functions holds the provider's functions. They are pure: no provider
// configuration, no request.
package functions

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

var _ function.Function = DockerConfigJSON{}

// DockerConfigJSON is docker_config_json: it merges the credentials of several resources into one docker config.
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
		Summary: "Merge registry credentials into one docker config",
		MarkdownDescription: "Renders the credentials of one or many `autodevops_registry_access` resources as one docker config, for a Secret of type " +
			"`kubernetes.io/dockerconfigjson`. Resources that have no token at the moment add nothing; without any, the result is `{\"auths\":{}}`, " +
			"a valid Secret. The same credentials give the same bytes.\n\n" +
			"Registries can be written as in `docker login`, as a host or as a URL: the scheme, `/v1/`, `/v2/` and slashes at the end are left out, and the host is put " +
			"in lower case. Docker Hub gets the key `" + access.DockerHubKey + "` that the kubelet and `docker login` use. A username cannot contain a colon, " +
			"white space or control characters, and a password no control characters.",
		Parameters: []function.Parameter{
			function.DynamicParameter{
				Name: "credentials",
				MarkdownDescription: "A registry access resource, or a list or map of them. Any object with `docker_config_json` and `image_prefix` will do, " +
					"and so will one with `registry` or `image_prefix`, `username` and `password`. The entries of a `docker_config_json` hold a username and a password, " +
					"or `auth` with both, as `docker login` writes it without a credential helper. Identity tokens, registry tokens and credential helpers are refused.",
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
	var given types.Dynamic
	var keyedBy string
	if resp.Error = req.Arguments.Get(ctx, &given, &keyedBy); resp.Error != nil {
		return
	}
	if keyedBy != byHost && keyedBy != byImagePrefix {
		resp.Error = function.NewArgumentFuncError(1, fmt.Sprintf("keyed_by must be %q or %q, got %q", byHost, byImagePrefix, keyedBy))
		return
	}

	result := types.StringUnknown()
	credentials, known, err := collect(given.UnderlyingValue(), keyedBy)
	if err == nil && known {
		var rendered string
		rendered, err = access.MergeDockerConfig(credentials)
		result = types.StringValue(rendered)
	}
	if conflict, ok := errors.AsType[*access.ConflictingKeyError](err); ok {
		hint := "Give each pod the credentials of one project, or a Secret for each"
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

// collect reads one resource or a collection of them. It is not known while any
// part that matters is unknown.
func collect(value attr.Value, keyedBy string) (credentials []access.Credential, known bool, err error) {
	if value == nil || value.IsNull() {
		return nil, false, errors.New("an element is null")
	}
	if value.IsUnknown() {
		return nil, false, nil
	}
	switch value := value.(type) {
	case types.Object:
		return credentialsOf(value.Attributes(), keyedBy)
	case types.List:
		return collectAll(slices.All(value.Elements()), keyedBy)
	case types.Set:
		return collectAll(slices.All(value.Elements()), keyedBy)
	case types.Tuple:
		return collectAll(slices.All(value.Elements()), keyedBy)
	case types.Map:
		return collectAll(byName(value.Elements()), keyedBy)
	default:
		return nil, false, errors.New("credentials must be an autodevops_registry_access, or a list or map of them")
	}
}

// byName goes through a map in the order of its keys, so that the same input gives
// the same error.
func byName(elements map[string]attr.Value) iter.Seq2[string, attr.Value] {
	return func(yield func(string, attr.Value) bool) {
		for _, name := range slices.Sorted(maps.Keys(elements)) {
			if !yield(name, elements[name]) {
				return
			}
		}
	}
}

func collectAll[K int | string](elements iter.Seq2[K, attr.Value], keyedBy string) (credentials []access.Credential, known bool, err error) {
	known = true
	for at, element := range elements {
		more, moreKnown, err := collect(element, keyedBy)
		if err != nil {
			return nil, false, fmt.Errorf("element %#v: %w", at, err)
		}
		credentials = append(credentials, more...)
		known = known && moreKnown
	}
	return credentials, known, nil
}

// credentialsOf reads an object: a resource, a plain login, or a collection of
// either by name.
func credentialsOf(attributes map[string]attr.Value, keyedBy string) ([]access.Credential, bool, error) {
	if _, isAccess := attributes["docker_config_json"]; isAccess {
		return accessOf(attributes, keyedBy)
	}
	if _, isLogin := attributes["password"]; isLogin {
		return loginOf(attributes, keyedBy)
	}
	for name, element := range byName(attributes) {
		if _, isObject := element.(types.Object); !isObject {
			return nil, false, fmt.Errorf("%s is neither a registry access resource nor an object with a password", name)
		}
	}
	return collectAll(byName(attributes), keyedBy)
}

func accessOf(attributes map[string]attr.Value, keyedBy string) ([]access.Credential, bool, error) {
	config, known, err := textOf(attributes, "docker_config_json")
	if err != nil || !known {
		return nil, known, err
	}
	credentials, err := access.ReadDockerConfig(config)
	if err != nil {
		return nil, true, fmt.Errorf("docker_config_json cannot be used: %w", err)
	}
	if len(credentials) == 0 {
		return nil, true, nil
	}
	if keyedBy == byHost {
		for i := range credentials {
			if credentials[i].Key, err = access.RegistryKey(credentials[i].Key); err != nil {
				return nil, true, fmt.Errorf("a registry in docker_config_json cannot be used: %w", err)
			}
		}
		return credentials, true, nil
	}
	prefix, known, err := keyOf(attributes, "image_prefix", keyedBy)
	if err != nil || !known {
		return nil, known, err
	}
	for i := range credentials {
		credentials[i].Key = prefix
	}
	return credentials, true, nil
}

func loginOf(attributes map[string]attr.Value, keyedBy string) ([]access.Credential, bool, error) {
	at := "registry"
	if _, hasPrefix := attributes["image_prefix"]; hasPrefix && (keyedBy == byImagePrefix || attributes["registry"] == nil) {
		at = "image_prefix"
	}
	key, keyKnown, err := keyOf(attributes, at, keyedBy)
	if err != nil {
		return nil, true, err
	}
	username, usernameKnown, err := textOf(attributes, "username")
	if err != nil {
		return nil, true, err
	}
	password, passwordKnown, err := textOf(attributes, "password")
	if err != nil {
		return nil, true, err
	}
	login := access.Credential{Key: key, Username: username, Password: access.Secret(password)}
	if err := login.Check(); err != nil {
		return nil, true, err
	}
	return []access.Credential{login}, keyKnown && usernameKnown && passwordKnown, nil
}

// keyOf reads a registry or an image prefix as the key of a docker config.
func keyOf(attributes map[string]attr.Value, name, keyedBy string) (key string, known bool, err error) {
	text, known, err := textOf(attributes, name)
	if err != nil || !known {
		return "", known, err
	}
	if keyedBy == byHost {
		key, err = access.RegistryKey(text)
	} else {
		key, err = access.ImagePrefixKey(text)
	}
	if err != nil {
		return "", true, fmt.Errorf("%s cannot be used: %w", name, err)
	}
	return key, true, nil
}

// textOf reads a string that must be there; not known is not an error.
func textOf(attributes map[string]attr.Value, name string) (text string, known bool, err error) {
	value := attributes[name]
	if value == nil || value.IsNull() {
		return "", true, fmt.Errorf("%s is missing", name)
	}
	if value.IsUnknown() {
		return "", false, nil
	}
	switch value, isString := value.(types.String); {
	case !isString:
		return "", true, fmt.Errorf("%s is not a string", name)
	case value.ValueString() == "":
		return "", true, fmt.Errorf("%s is missing", name)
	default:
		return value.ValueString(), true, nil
	}
}
