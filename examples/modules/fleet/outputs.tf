output "accesses" {
  description = "The registry access of each project, without secrets."
  value = {
    for key, access in autodevops_registry_access.this : key => {
      project_id  = access.project_id
      required    = access.required
      reason      = access.reason
      explanation = access.explanation
      token_id    = access.token_id
      generation  = access.generation
      expires_at  = access.expires_at
      rotate_at   = access.rotate_at
      ends_at     = access.ends_at
      last_change = access.last_change
      retired     = access.retired_tokens
      unmanaged   = access.unmanaged_token_ids
    }
  }
}

output "not_required" {
  description = "The keys of the projects that need no access at the moment, each with the reason."
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
