# A run keeps the state of the runs before it in the same file. So the revisions have a
# file of their own: the credentials of one project change between two runs.
mock_provider "autodevops" {
  source = "../../testing/mocks"
}

mock_provider "kubernetes" {}

variables {
  projects = {
    "acme/shop"   = { namespaces = ["shop"] }
    "acme/worker" = { namespaces = ["shop", "worker"] }
    "acme/site"   = { namespaces = ["site"] }
  }
}

run "no_credentials_in_the_state_of_a_secret" {
  assert {
    condition     = alltrue([for secret in values(kubernetes_secret_v1.this) : secret.data == null])
    error_message = "The Secrets must be written with data_wo."
  }
  assert {
    condition     = length(distinct([for secret in values(kubernetes_secret_v1.this) : secret.data_wo_revision])) == 2
    error_message = "Secrets with the credentials of the same projects must have the same revision, and others another one."
  }
}

run "a_new_token_in_a_shared_secret" {
  state_key = "another"
  override_resource {
    target = autodevops_registry_access.this["acme/worker"]
    values = {
      image_prefix           = "registry.gitlab.example.com/acme/shop"
      docker_config_json     = "{\"auths\":{}}"
      docker_config_revision = 2
      required               = false
      rotate_at              = null
    }
  }
  assert {
    condition     = kubernetes_secret_v1.this["shop"].data_wo_revision != run.no_credentials_in_the_state_of_a_secret.secret_revisions["shop"]
    error_message = "A Secret must be written when the credentials of one of its projects change."
  }
  assert {
    condition     = kubernetes_secret_v1.this["site"].data_wo_revision == run.no_credentials_in_the_state_of_a_secret.secret_revisions["site"]
    error_message = "A Secret must not be written when credentials change that it does not have."
  }
}
