package registryaccess

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
	"github.com/autodevops/terraform-provider-autodevops/internal/arguments"
)

// Values of on_not_required.
const (
	onNotRequiredRevoke = "revoke"
	onNotRequiredKeep   = "keep"
)

var validUsername = regexp.MustCompile(`^[A-Za-z0-9.+_-]+$`)

const (
	projectDescription = "The project: its numeric id or its full path."
	modeDescription    = "`auto` derives from the project whether access is required, `always` requires it also when " +
		"Auto DevOps is off or the project is public, `never` requires none. Default: `auto`."
	visibilityDescription = "The project's visibility, instead of what GitLab says: `private`, `internal` or `public`. " +
		"Set it from the resource that declares the project, and the plan is right in the same run that changes the project."
	levelDescription = "The project's container registry access level, instead of what GitLab says: " +
		"`enabled`, `private` or `disabled`."
	autoDevOpsDescription = "Whether Auto DevOps is on for the project, instead of what GitLab says. " +
		"Needed where the provider's user has a custom role that manages deploy tokens but is below Maintainer, as GitLab then hides it."
)

// Descriptions of what resource and data source have in common.
const (
	idDescription          = "The project's numeric id, as text."
	ProjectIDDescription   = "The project's numeric id."
	projectPathDescription = "The project's full path."
	visibilityFact         = "`private`, `internal` or `public`."
	levelFact              = "`enabled`, `private` or `disabled`."
	autoDevOpsFact         = "Whether Auto DevOps is on, inherited or not. Null if GitLab hides it: the provider's user is below the Maintainer role."
	archivedFact           = "Whether the project or a group above it is archived."
	deletionScheduledFact  = "Whether the project is scheduled for deletion."
	RequiredDescription    = "Whether the project needs registry access."
	ExplanationDescription = "Why, as a sentence."
)

// schemaVersion of the state. States of older versions would need an upgrade.
const schemaVersion = 0

// Schema implements resource.Resource.
func (r *Resource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := map[string]schema.Attribute{}
	for _, group := range []map[string]schema.Attribute{
		argumentAttributes(), policyAttributes(), projectAttributes(), requirementAttributes(), tokenAttributes(), publicationAttributes(),
	} {
		maps.Copy(attributes, group)
	}
	attributes["timeouts"] = timeouts.Attributes(ctx, timeouts.Opts{Create: true, Read: true, Update: true, Delete: true})

	resp.Schema = schema.Schema{
		Version: schemaVersion,
		MarkdownDescription: "Gives a cluster lasting access to the container registry of a GitLab project that Auto DevOps deploys. " +
			"It derives from the project whether a deploy token is needed, mints it, rotates it with an overlap in which " +
			"two tokens are valid, and winds it down and revokes it when it is no longer needed.",
		Attributes: attributes,
	}
}

// argumentAttributes say what is wanted, and which facts to believe.
func argumentAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"project": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: projectDescription + " Another project forces a replacement; a rename or transfer of the same project does not.",
			Validators:          arguments.ProjectValidators(),
		},
		"mode": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString(string(access.ModeAuto)),
			MarkdownDescription: modeDescription,
			Validators:          []validator.String{stringvalidator.OneOf(texts(access.Modes())...)},
		},
		"visibility": schema.StringAttribute{
			Optional: true, MarkdownDescription: visibilityDescription,
			Validators: []validator.String{stringvalidator.OneOf(access.Visibilities()...)},
		},
		"container_registry_access_level": schema.StringAttribute{
			Optional: true, MarkdownDescription: levelDescription,
			Validators: []validator.String{stringvalidator.OneOf(access.RegistryAccessLevels()...)},
		},
		"auto_devops_enabled": schema.BoolAttribute{Optional: true, MarkdownDescription: autoDevOpsDescription},
		"name": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString(access.DefaultName),
			MarkdownDescription: "The name of the deploy tokens. A change rotates the token while access is required, else the next minting uses it. GitLab gives the token named `" + access.GitLabName +
				"` to every job of the project; see the guide on rotation before choosing that name. Default: `" + access.DefaultName + "`.",
			Validators: arguments.NameValidators(),
		},
		"username": schema.StringAttribute{
			Optional: true, Computed: true,
			MarkdownDescription: "The username of the deploy tokens, the same across rotations. A change rotates the token, as that of `name` does. " +
				"Default: `autodevops-<project id>-<8 random characters>`, chosen once; it also marks the tokens as this resource's own.",
			Validators: []validator.String{
				stringvalidator.LengthBetween(1, 255),
				stringvalidator.RegexMatches(validUsername, "can contain only letters, digits, '_', '-', '+', and '.'"),
			},
		},
		"scopes": schema.SetAttribute{
			ElementType: types.StringType, Optional: true, Computed: true,
			Default: setdefault.StaticValue(types.SetValueMust(types.StringType, []attr.Value{types.StringValue(access.ScopeReadRegistry)})),
			MarkdownDescription: "The scopes of the deploy tokens, `read_registry` among them. A change rotates the token, as that of `name` does. Default: `[\"read_registry\"]`. Possible: `" +
				strings.Join(access.Scopes(), "`, `") + "`.",
			Validators: []validator.Set{
				setvalidator.NoNullValues(),
				setvalidator.ValueStringsAre(stringvalidator.OneOf(access.Scopes()...)),
				includesReadRegistry{},
			},
		},
	}
}

// policyAttributes say how tokens live and end.
func policyAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"rotation": schema.SingleNestedAttribute{
			Optional:            true,
			MarkdownDescription: "When tokens expire and are replaced, in whole days.",
			Attributes: map[string]schema.Attribute{
				"expiration_days": schema.NumberAttribute{
					Optional: true, Validators: []validator.Number{arguments.WholeNumber(access.MinExpirationDays, access.MaxExpirationDays)},
					MarkdownDescription: fmt.Sprintf("Lifetime of a token in days, from %d to %d. It ends at 00:00 UTC. A shorter lifetime rotates a token "+
						"that would outlive it; a longer one counts from the next rotation. Default: %d.", access.MinExpirationDays, access.MaxExpirationDays, access.DefaultExpirationDays),
				},
				"rotate_before_days": schema.NumberAttribute{
					Optional: true, Validators: []validator.Number{arguments.WholeNumber(access.MinRotateBeforeDays, access.MaxExpirationDays)},
					MarkdownDescription: fmt.Sprintf("How many days before its expiry a token is replaced; at least %d, and less than `expiration_days`. "+
						"A change moves `rotate_at` in this apply; the plan after it acts on it. Default: a third of `expiration_days`, at most %d.", access.MinRotateBeforeDays, access.DefaultRotateBeforeDays),
				},
				"overlap_days": schema.NumberAttribute{
					Optional: true, Validators: []validator.Number{arguments.WholeNumber(0, access.MaxExpirationDays)},
					MarkdownDescription: fmt.Sprintf("How many days a replaced token stays valid; at most `rotate_before_days`, and for permanent tokens at most %d. A change does not touch tokens "+
						"that are already retired. With 0, the old token is revoked in the apply that replaces it, before Secrets are updated: pulls can fail in between. "+
						"Default: %d, at most `rotate_before_days`.", access.MaxExpirationDays, access.DefaultOverlapDays),
				},
				"spread_days": schema.NumberAttribute{
					Optional: true, Validators: []validator.Number{arguments.WholeNumber(0, access.MaxExpirationDays)},
					MarkdownDescription: "Moves the rotation earlier by a number of days between 0 and this one, so that a fleet whose tokens were minted on one day is not replaced on one day. " +
						"Which number it is depends on the project's id alone (id modulo `spread_days` + 1). Together with `rotate_before_days` it must be less than `expiration_days`. " +
						"A change moves `rotate_at`, as one of `rotate_before_days` does. Default: 0.",
				},
			},
		},
		"permanent": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Mint tokens without an expiry. They are replaced only when an argument that makes another token changes, such as `rotate_when_changed`. " +
				"A current token that has an expiry keeps it, and is replaced by a permanent one in its rotation window; set back to `false`, a permanent token is rotated at once. Conflicts with " +
				"`expiration_days` and `rotate_before_days`. Default: `false`.",
		},
		"rotate_when_changed": schema.MapAttribute{
			ElementType: types.StringType, Optional: true,
			MarkdownDescription: "Arbitrary values, none of them null; any change of them rotates the token, with overlap.",
			Validators:          []validator.Map{mapvalidator.NoNullValues()},
		},
		"on_not_required": schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString(onNotRequiredRevoke),
			MarkdownDescription: "What happens to a token that is no longer required: `revoke` gives it an end date and revokes it then, " +
				"`keep` leaves it until its rotation window opens, which a permanent token has none of. Default: `revoke`.",
			Validators: []validator.String{stringvalidator.OneOf(onNotRequiredRevoke, onNotRequiredKeep)},
		},
		"seal": sealAttribute(),
		"verify": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(true),
			MarkdownDescription: "Whether a fresh token must prove to GitLab's registry authentication that it can pull before it is published " +
				"and the old one retired. Default: `true`.",
		},
	}
}

// sealAttribute says for whom the credentials are encrypted.
func sealAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "Keeps the secret out of the state: the credentials are encrypted as soon as the token is proven, and only `sealed_credentials` holds them. " +
			"A change of it, or a moved registry host, rotates the token with overlap while access is required, because nobody but the recipients can open what is sealed; else the next minting uses it. " +
			"See the guide [No secret in the state](../guides/no-secret-in-the-state.md).",
		Attributes: map[string]schema.Attribute{
			"age_recipients": schema.SetAttribute{
				ElementType: types.StringType, Required: true,
				MarkdownDescription: "Public keys of age, X25519 only (`age1...`), as `age-keygen` prints them. Each recipient can open the credentials.",
				Validators:          []validator.Set{setvalidator.NoNullValues(), canBeSealedFor{}},
			},
		},
	}
}

// projectAttributes are what GitLab says about the project.
func projectAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"id":           schema.StringAttribute{Computed: true, MarkdownDescription: idDescription},
		"project_id":   schema.Int64Attribute{Computed: true, MarkdownDescription: ProjectIDDescription},
		"project_path": schema.StringAttribute{Computed: true, MarkdownDescription: projectPathDescription},
		"registry":     schema.StringAttribute{Computed: true, MarkdownDescription: "The registry's `host[:port]`, without a scheme."},
		"image_prefix": schema.StringAttribute{Computed: true, MarkdownDescription: "What the names of the project's images begin with: registry and lower-case path."},
		"facts": schema.SingleNestedAttribute{
			Computed: true, MarkdownDescription: "What GitLab said about the project when it was last asked.",
			Attributes: map[string]schema.Attribute{
				"visibility":                      schema.StringAttribute{Computed: true, MarkdownDescription: visibilityFact},
				"container_registry_access_level": schema.StringAttribute{Computed: true, MarkdownDescription: levelFact},
				"auto_devops_enabled": schema.BoolAttribute{Computed: true,
					MarkdownDescription: autoDevOpsFact},
				"archived":           schema.BoolAttribute{Computed: true, MarkdownDescription: archivedFact},
				"deletion_scheduled": schema.BoolAttribute{Computed: true, MarkdownDescription: deletionScheduledFact},
			},
		},
	}
}

// requirementAttributes are the decision.
func requirementAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"required":    schema.BoolAttribute{Computed: true, MarkdownDescription: RequiredDescription},
		"reason":      schema.StringAttribute{Computed: true, MarkdownDescription: "Why, as a stable code: " + quotedList(access.Reasons()) + "."},
		"explanation": schema.StringAttribute{Computed: true, MarkdownDescription: ExplanationDescription},
		"generation":  schema.Int64Attribute{Computed: true, MarkdownDescription: "How many tokens this resource has minted."},
		"last_change": schema.StringAttribute{Computed: true, MarkdownDescription: "Why the current token came to be, or will end."},
		"last_action": schema.StringAttribute{Computed: true, MarkdownDescription: "The last thing that happened to the tokens, known in the plan that does it: " +
			quotedList(access.Actions(), access.ActionHold) + ". For policies; `last_change` says it in a sentence."},
	}
}

// tokenAttributes are the tokens and the credentials.
func tokenAttributes() map[string]schema.Attribute {
	moment := func(description string) schema.Attribute {
		return schema.StringAttribute{CustomType: timetypes.RFC3339Type{}, Computed: true, MarkdownDescription: description}
	}
	return map[string]schema.Attribute{
		"token_id": schema.Int64Attribute{Computed: true, MarkdownDescription: "The id of the current deploy token; null while there is none."},
		"token_status": schema.StringAttribute{Computed: true, MarkdownDescription: "Whether the current token works, as of the last refresh: " +
			quotedList(access.Statuses()) + ". Null while there is none."},
		"token": schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The current deploy token; null while there is none."},
		"docker_config_json": schema.StringAttribute{Computed: true, Sensitive: true,
			MarkdownDescription: "A docker config with the credentials for `registry`, for a Secret of type `kubernetes.io/dockerconfigjson`. " +
				"`{\"auths\":{}}` while there is no token, which is a valid Secret too."},
		"docker_config_revision": schema.Int64Attribute{Computed: true,
			MarkdownDescription: "A number for `docker_config_json`, another one for each content, made for `data_wo_revision` of a `kubernetes_secret_v1`. " +
				"`generation` is not enough there: credentials also change when they are withdrawn, and when the registry moves."},
		"sealed_credentials": schema.StringAttribute{Computed: true,
			MarkdownDescription: "With `seal`: username, token and docker config, encrypted for the recipients as an armored age file, for the ephemeral resource `autodevops_registry_credentials`. " +
				"`token` and `docker_config_json` are null then. Never null with `seal`: without a token it holds the empty docker config."},
		"created_at": moment("When the current token was minted, by GitLab's clock."),
		"expires_at": moment("When the current token expires; null for a permanent one."),
		"rotate_at":  moment("From when on a plan replaces the current token; null for a permanent one."),
		"ends_at":    moment("From when on an apply revokes the current token, because it is no longer required; null while it is."),
		"retired_tokens": schema.ListNestedAttribute{
			Computed: true, MarkdownDescription: "Tokens that were replaced or are no longer required, until they are revoked.",
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"token_id":   schema.Int64Attribute{Computed: true, MarkdownDescription: "The id of the deploy token."},
				"username":   schema.StringAttribute{Computed: true, MarkdownDescription: "Its username."},
				"retired_at": moment("When it was retired."),
				"revoke_at":  moment("From when on an apply revokes it."),
				"expires_at": moment("When it expires; null for a permanent one."),
				"status":     schema.StringAttribute{Computed: true, MarkdownDescription: "Whether it works, as of the last refresh; the words of `token_status`."},
			}},
		},
		"unmanaged_token_ids": schema.ListAttribute{
			ElementType: types.Int64Type, Computed: true,
			MarkdownDescription: "Ids of active deploy tokens with the same name that are not this resource's.",
		},
	}
}

// texts are the values of an enumeration as strings.
func texts[T ~string](values []T) []string {
	words := make([]string, 0, len(values))
	for _, value := range values {
		words = append(words, string(value))
	}
	return words
}

// quotedList lists the values of an enumeration for a description, but for the excluded.
func quotedList[T ~string](values []T, except ...T) string {
	var words []string
	for _, value := range values {
		if !slices.Contains(except, value) {
			words = append(words, "`"+string(value)+"`")
		}
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// IdentitySchema implements resource.ResourceWithIdentity.
func (r *Resource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"project_id": identityschema.Int64Attribute{RequiredForImport: true, Description: "The project's numeric id."},
		"name":       identityschema.StringAttribute{RequiredForImport: true, Description: "The name of the deploy tokens."},
	}}
}
