output "registry_access" {
  description = "The registry access of each project, without secrets."
  value = {
    for key, access in autodevops_registry_access.this : key => {
      project_id          = access.project_id
      project_path        = access.project_path
      image_prefix        = access.image_prefix
      required            = access.required
      reason              = access.reason
      explanation         = access.explanation
      token_id            = access.token_id
      token_status        = access.token_status
      generation          = access.generation
      expires_at          = access.expires_at
      rotate_at           = access.rotate_at
      ends_at             = access.ends_at
      last_action         = access.last_action
      last_change         = access.last_change
      retired_tokens      = access.retired_tokens
      ci_status           = access.ci_status
      published_at        = access.published_at
      environments_behind = access.environments_behind
      unmanaged_token_ids = access.unmanaged_token_ids
    }
  }
}

output "not_required" {
  description = "The keys of the projects that need no token at the moment, each with the reason."
  value       = { for key, access in autodevops_registry_access.this : key => access.reason if !access.required }
}

output "secrets" {
  description = "The Secret of each namespace, for the chart's image.secrets."
  value       = { for namespace, secret in kubernetes_secret_v1.this : namespace => secret.metadata[0].name }
}

output "next_rotation" {
  description = "The time from which a plan replaces the first token; null if no token has a rotation window."
  value       = try(sort([for access in values(autodevops_registry_access.this) : access.rotate_at if access.rotate_at != null])[0], null)
}

output "secret_revisions" {
  description = "A number for the credentials in each namespace's Secret; another one for other credentials. For annotations that restart pods, or for Secrets of your own."
  value       = local.revisions
}
