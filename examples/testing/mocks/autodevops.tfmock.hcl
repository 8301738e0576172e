# The resource of a private project that Auto DevOps deploys, as it is after the first
# apply. For `terraform test` and `tofu test` of configurations that use the provider.
#
#   mock_provider "autodevops" {
#     source = "./mocks"
#   }
#
# Lists and maps of objects (retired_tokens, tokens, coverage) are empty in a mock. If a
# test needs elements, use override_resource and override_data. An override has none of
# these defaults. The mocks make no request to GitLab, and contain no real credential.
# Neither CLI mocks the functions of the provider. The functions run, and need no GitLab.
mock_resource "autodevops_registry_access" {
  defaults = {
    # Arguments that are left out. A mock does not know the defaults of the schema.
    name            = "autodevops-registry-access"
    mode            = "auto"
    scopes          = ["read_registry"]
    permanent       = false
    on_not_required = "revoke"
    verify          = true

    id           = "7"
    project_id   = 7
    project_path = "acme/shop"
    registry     = "registry.gitlab.example.com"
    image_prefix = "registry.gitlab.example.com/acme/shop"
    facts = {
      visibility                      = "private"
      container_registry_access_level = "enabled"
      auto_devops_enabled             = true
      archived                        = false
      deletion_scheduled              = false
    }
    required    = true
    reason      = "auto_devops_private"
    explanation = "Auto DevOps deploys a private project."

    ci_status    = "published"
    published_at = "2026-01-15T10:00:01Z"

    username               = "autodevops-7-mockmock"
    token_id               = 42
    token                  = "mock-token"
    docker_config_json     = "{\"auths\":{\"registry.gitlab.example.com\":{\"username\":\"autodevops-7-mockmock\",\"password\":\"mock-token\",\"auth\":\"YXV0b2Rldm9wcy03LW1vY2ttb2NrOm1vY2stdG9rZW4=\"}}}"
    docker_config_revision = 1
    sealed_credentials     = null
    created_at             = "2026-01-01T09:00:00Z"
    expires_at             = "2027-01-01T00:00:00Z"
    rotate_at              = "2026-12-02T00:00:00Z"
    ends_at                = null
    generation             = 1
    token_status           = "active"
    last_action            = "mint"
    last_change            = "Minted: auto_devops_private."
    unmanaged_token_ids    = []
  }
}

mock_data "autodevops_registry_access" {
  defaults = {
    id           = "7"
    project_id   = 7
    project_path = "acme/shop"
    registry     = "registry.gitlab.example.com"
    image_prefix = "registry.gitlab.example.com/acme/shop"
    facts = {
      visibility                      = "private"
      container_registry_access_level = "enabled"
      auto_devops_enabled             = true
      archived                        = false
      deletion_scheduled              = false
    }
    required    = true
    reason      = "auto_devops_private"
    explanation = "Auto DevOps deploys a private project."
  }
}

mock_data "autodevops_registry_coverage" {
  defaults = {
    id        = "acme"
    uncovered = []
    expiring  = []
    unmanaged = []
    hidden    = []
    totals    = { projects = 1, required = 1, covered = 1, uncovered = 0, expiring = 0, unmanaged = 0, hidden = 0 }
  }
}
