output "imports" {
  description = "The id of each import, for the import block of the root module: Terraform allows import blocks only there."
  value       = { for id, project in local.made_by_gitlab : id => "${id}:${project.token_id}" }
}

output "docker_config_json" {
  description = "The credentials of each project by its full path, for Secrets. A project that needs none has {\"auths\":{}}."
  value       = { for id, access in autodevops_registry_access.this : local.projects[id].path => access.docker_config_json }
  sensitive   = true
}

output "docker_config_revisions" {
  description = "A number for the credentials of each project, another one for other credentials, for data_wo_revision."
  value       = { for id, access in autodevops_registry_access.this : local.projects[id].path => access.docker_config_revision }
}

output "registry_access" {
  description = "The registry access of each project by its full path, without secrets."
  value = {
    for id, access in autodevops_registry_access.this : local.projects[id].path => {
      project_id     = access.project_id
      required       = access.required
      reason         = access.reason
      token_id       = access.token_id
      expires_at     = access.expires_at
      ends_at        = access.ends_at
      last_action    = access.last_action
      last_change    = access.last_change
      retired_tokens = access.retired_tokens
    }
  }
}

output "environments_behind" {
  description = "The environments of each project, by its full path, whose Secret holds something else than the published credentials. With `ci_variables`."
  value = {
    for id, access in autodevops_registry_access.this : local.projects[id].path => access.environments_behind
    if try(length(access.environments_behind), 0) > 0
  }
}

output "made_by_gitlab" {
  description = "Projects in which a token named gitlab-deploy-token works that no resource manages, with its id. After the take-over, somebody has saved the Auto DevOps settings, and GitLab has made one again, or a project had two."
  value = {
    for id, project in local.made_by_gitlab : project.path => project.token_id
    if !contains(concat(
      [for access in [autodevops_registry_access.this[id]] : access.token_id if access.token_id != null],
      autodevops_registry_access.this[id].retired_tokens[*].token_id,
    ), project.token_id)
  }
}
