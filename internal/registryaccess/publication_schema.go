package registryaccess

import (
	"regexp"

	"github.com/hashicorp/terraform-plugin-framework-timetypes/timetypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/autodevops/terraform-provider-autodevops/internal/access"
)

// validScope is what GitLab accepts as an environment scope (app/models/concerns/has_environment_scope.rb).
var validScope = regexp.MustCompile(`^[A-Za-z0-9_/${}. *-]+$`)

const maxScope = 255

// publicationAttributes are about the project's CI/CD variables.
func publicationAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"ci_variables": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "Publishes the credentials in the project's CI/CD variables `" + access.UserVariable + "` and `" + access.PasswordVariable +
				"`, from which every deploy job of Auto DevOps writes the Secret in the cluster. `{}` is enough. A replaced token then lives until it expires, " +
				"and the default of `rotate_before_days` is half of `expiration_days`; of `overlap_days`, only 0 can be set. See the guide on CI/CD variables.",
			Attributes: map[string]schema.Attribute{
				"environment_scope": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "The environment scope of the variables. Environments that share a namespace share one Secret, so a scope that leaves one of them out " +
						"lets its jobs overwrite the Secret with other credentials. Default: `*`.",
					Validators: []validator.String{
						stringvalidator.LengthBetween(1, maxScope),
						stringvalidator.RegexMatches(validScope, "can contain only letters, digits, spaces, and the characters - _ / $ { } . *"),
					},
				},
				"overwrite": schema.BoolAttribute{
					Optional: true,
					MarkdownDescription: "Whether variables of these names and this scope that somebody else has made may be overwritten. " +
						"Hidden variables are never overwritten. Default: `false`.",
				},
			},
		},
		"ci_status": schema.StringAttribute{
			Computed: true,
			MarkdownDescription: "Whether the CI/CD variables hold the credentials, as of the last refresh: " + quotedList(access.CIStatuses()) +
				". The next apply repairs `missing`, `changed` and `unverifiable` (a hidden variable) with the same token. `shadowed`: a variable with a more exact environment scope wins. " +
				"`unreachable`: CI/CD is off for the project, or the provider's user or token may not read its variables. Null without published credentials.",
		},
		"published_at": schema.StringAttribute{
			CustomType: timetypes.RFC3339Type{}, Computed: true,
			MarkdownDescription: "When GitLab had the credentials of the current token in the CI/CD variables, by its clock; after they were removed, when that was. " +
				"A job that was queued at least a minute later got them. Null until GitLab has confirmed it.",
		},
		"environments_behind": schema.ListNestedAttribute{
			Computed: true,
			MarkdownDescription: "Environments that were last deployed before the current credentials were published, so that their Secret holds something else. " +
				"A report, as of the last refresh; it ends nothing. Null if GitLab was not asked since the last publication, or did not tell.",
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"name": schema.StringAttribute{Computed: true, MarkdownDescription: "The name of the environment."},
				"deployed_at": schema.StringAttribute{CustomType: timetypes.RFC3339Type{}, Computed: true,
					MarkdownDescription: "When its last successful deployment ended."},
				"holds": schema.StringAttribute{Computed: true, MarkdownDescription: "What its Secret holds: " + quotedList(access.Holdings(), access.HoldsCurrent) +
					". `job_token` pulls nothing: the job has ended."},
				"until": schema.StringAttribute{CustomType: timetypes.RFC3339Type{}, Computed: true,
					MarkdownDescription: "When that stops pulling; null if never, or if it is not known."},
			}},
		},
	}
}
