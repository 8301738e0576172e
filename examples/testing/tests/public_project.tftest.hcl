# A run keeps the state of the runs before it in the same file. So a test that overrides a
# value from the beginning has a file of its own.
mock_provider "autodevops" {
  source = "./mocks"
}

mock_provider "kubernetes" {}

variables {
  project   = "acme/shop"
  namespace = "shop-production"
}

run "a_public_project_needs_no_token" {
  override_resource {
    target = autodevops_registry_access.this
    values = {
      required               = false
      reason                 = "anonymous_pull"
      token                  = null
      docker_config_json     = "{\"auths\":{}}"
      docker_config_revision = 7
    }
  }
  assert {
    condition     = output.registry_access.reason == "anonymous_pull"
    error_message = "The output must say why there is no token."
  }
}
