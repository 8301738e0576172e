# Run with: terraform init && terraform test. The tests need neither a GitLab nor a
# cluster. OpenTofu 1.12 cannot read mocks from a file, and cannot override one instance
# of many.
mock_provider "autodevops" {
  source = "../../testing/mocks"
}

mock_provider "kubernetes" {}

variables {
  projects = {
    "acme/shop"   = { namespaces = ["shop", "storefront"] }
    "acme/worker" = { namespaces = ["shop"], mode = "always", rotation = { expiration_days = 90 } }
    site          = { project = "acme/site", namespaces = ["site"] }
    library       = { project = "1234" }
  }
}

run "one_resource_for_each_project" {
  command = plan

  assert {
    condition     = { for key, access in autodevops_registry_access.this : key => access.project } == { "acme/shop" = "acme/shop", "acme/worker" = "acme/worker", site = "acme/site", library = "1234" }
    error_message = "project must default to the key."
  }
  assert {
    condition     = autodevops_registry_access.this["acme/shop"].rotation.spread_days == 60 && autodevops_registry_access.this["acme/worker"].rotation.expiration_days == 90
    error_message = "The rotation of a project must replace the rotation of the module."
  }
  assert {
    condition     = autodevops_registry_access.this["acme/worker"].mode == "always"
    error_message = "The arguments of a project must reach the resource."
  }
}

run "one_secret_for_each_namespace" {
  override_resource {
    target = autodevops_registry_access.this["acme/worker"]
    values = {
      required           = true
      rotate_at          = "2026-12-02T00:00:00Z"
      image_prefix       = "registry.gitlab.example.com/acme/worker"
      docker_config_json = "{\"auths\":{\"registry.gitlab.example.com\":{\"username\":\"worker\",\"password\":\"mock-token\",\"auth\":\"d29ya2VyOm1vY2stdG9rZW4=\"}}}"
    }
  }
  override_resource {
    target = autodevops_registry_access.this["site"]
    values = {
      image_prefix       = "registry.gitlab.example.com/acme/site"
      docker_config_json = "{\"auths\":{}}"
      required           = false
      reason             = "anonymous_pull"
      rotate_at          = "2026-06-01T00:00:00Z"
    }
  }

  assert {
    condition     = autodevops_registry_access.this["acme/shop"].name == "autodevops-registry-access" && autodevops_registry_access.this["acme/shop"].mode == "auto"
    error_message = "Arguments that are left out must have the resource's defaults."
  }
  assert {
    condition     = output.secrets == { shop = "registry-access", storefront = "registry-access", site = "registry-access" }
    error_message = "Each namespace must have one Secret. A project without a namespace must have none."
  }
  assert {
    condition = keys(jsondecode(nonsensitive(kubernetes_secret_v1.this["shop"].data[".dockerconfigjson"])).auths) == [
      "registry.gitlab.example.com/acme/shop", "registry.gitlab.example.com/acme/worker",
    ]
    error_message = "The Secret of a shared namespace must have the credentials of each project."
  }
  assert {
    condition     = jsondecode(nonsensitive(kubernetes_secret_v1.this["site"].data[".dockerconfigjson"])).auths == {}
    error_message = "The Secret of a project that needs no access must exist and be empty."
  }
  assert {
    condition     = output.not_required == { site = "anonymous_pull" } && output.next_rotation == "2026-06-01T00:00:00Z"
    error_message = "The outputs must list the projects that need no access, and the next rotation."
  }
  assert {
    condition     = length(kubernetes_namespace_v1.this) == 0
    error_message = "The module must create no namespaces by default."
  }
}

run "creates_namespaces_if_told" {
  variables {
    create_namespaces = true
  }
  assert {
    condition     = keys(kubernetes_namespace_v1.this) == ["shop", "site", "storefront"]
    error_message = "Each namespace must be created once."
  }
}

run "refuses_the_secret_of_auto_devops" {
  command = plan
  variables {
    secret_name = "gitlab-registry-shop"
  }
  expect_failures = [var.secret_name]
}

run "refuses_an_invalid_namespace" {
  command = plan
  variables {
    projects = { "acme/shop" = { namespaces = ["Shop"] } }
  }
  expect_failures = [var.projects]
}

run "accepts_an_empty_map" {
  variables {
    projects = {}
  }
  assert {
    condition     = output.accesses == {} && output.next_rotation == null
    error_message = "An empty map must make no resources."
  }
}
