# Run with: terraform init && terraform test. The tests need neither a GitLab nor a
# cluster. OpenTofu 1.12 cannot read mocks from a file, and cannot override one instance
# of many.
mock_provider "autodevops" {
  source = "../../testing/mocks"
}

mock_provider "kubernetes" {}

variables {
  projects = {
    "acme/shop" = { namespaces = ["shop", "storefront"], rotate_when_changed = { incident = "2026-03" } }
    "acme/worker" = {
      namespaces = ["shop"]
      mode       = "always"
      rotation   = { expiration_days = 90 }
      verify     = false
      scopes     = ["read_registry", "read_repository"]
      timeouts   = { create = "5m" }
    }
    site    = { project = "acme/site", namespaces = ["site"] }
    library = { project = "1234" }
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
    error_message = "The rotation of a project must count instead of the one of the module."
  }
  assert {
    condition = (
      autodevops_registry_access.this["acme/worker"].mode == "always" && !autodevops_registry_access.this["acme/worker"].verify &&
      contains(autodevops_registry_access.this["acme/worker"].scopes, "read_repository") && autodevops_registry_access.this["acme/worker"].timeouts.create == "5m"
    )
    error_message = "The arguments of a project must reach the resource."
  }
  assert {
    condition     = autodevops_registry_access.this["acme/shop"].rotate_when_changed == tomap({ incident = "2026-03" }) && autodevops_registry_access.this["site"].rotate_when_changed == null
    error_message = "rotate_when_changed of one project must reach that project alone."
  }
}

run "defaults_for_all_projects" {
  command = plan
  variables {
    defaults = { rotation = { expiration_days = 180 }, on_not_required = "keep", mode = "never", rotate_when_changed = { policy = "2" } }
  }
  assert {
    condition     = autodevops_registry_access.this["acme/shop"].rotation.expiration_days == 180 && autodevops_registry_access.this["acme/worker"].rotation.expiration_days == 90
    error_message = "The defaults must reach the projects that have no rotation of their own."
  }
  assert {
    condition     = autodevops_registry_access.this["site"].on_not_required == "keep" && autodevops_registry_access.this["site"].mode == "never" && autodevops_registry_access.this["acme/worker"].mode == "always"
    error_message = "An argument of a project must count instead of the default."
  }
  assert {
    condition     = autodevops_registry_access.this["acme/shop"].rotate_when_changed == tomap({ incident = "2026-03", policy = "2" }) && autodevops_registry_access.this["site"].rotate_when_changed == tomap({ policy = "2" })
    error_message = "rotate_when_changed of all and of a project must be added up."
  }
}

run "publishes_in_ci_variables" {
  command = plan
  variables {
    defaults = { ci_variables = {} }
    projects = {
      "acme/shop"   = {}
      "acme/worker" = { ci_variables = { environment_scope = "production" } }
      "acme/site"   = { ci_variables = null, namespaces = ["site"] }
    }
  }
  assert {
    condition     = autodevops_registry_access.this["acme/shop"].ci_variables != null && autodevops_registry_access.this["acme/worker"].ci_variables.environment_scope == "production"
    error_message = "The credentials must be published."
  }
  assert {
    condition     = autodevops_registry_access.this["acme/site"].ci_variables == null && keys(output.secrets) == ["site"]
    error_message = "A project must be able to have a Secret instead."
  }
}

run "refuses_an_unknown_key_of_ci_variables" {
  command = plan
  variables {
    projects = { "acme/shop" = { ci_variables = { scope = "production" } } }
  }
  expect_failures = [var.projects]
}

run "one_secret_for_each_namespace" {
  variables {
    write_only = false
  }
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
    error_message = "The Secret of a project that needs no token must exist and be empty."
  }
  assert {
    condition     = output.not_required == { site = "anonymous_pull" } && output.next_rotation == "2026-06-01T00:00:00Z"
    error_message = "The outputs must list the projects that need no token, and the next rotation."
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

run "refuses_a_namespace_that_is_no_list" {
  command = plan
  variables {
    projects = { "acme/shop" = { namespaces = "shop" } }
  }
  expect_failures = [var.projects]
}

run "refuses_an_unknown_argument" {
  command = plan
  variables {
    projects = { "acme/shop" = {}, "acme/worker" = { rotaton = { expiration_days = 90 } } }
  }
  expect_failures = [var.projects]
}

run "refuses_an_unknown_rotation_period" {
  command = plan
  variables {
    projects = { "acme/shop" = { rotation = { expiration_day = 90 } } }
  }
  expect_failures = [var.projects]
}

run "refuses_an_unknown_timeout" {
  command = plan
  variables {
    projects = { "acme/shop" = { timeouts = { make = "5m" } } }
  }
  expect_failures = [var.projects]
}

run "refuses_a_list" {
  command = plan
  variables {
    projects = ["acme/shop"]
  }
  expect_failures = [var.projects]
}

run "refuses_an_unknown_default" {
  command = plan
  variables {
    defaults = { spread_days = 60 }
  }
  expect_failures = [var.defaults]
}

run "refuses_an_unknown_default_period" {
  command = plan
  variables {
    defaults = { rotation = { spread_day = 60 } }
  }
  expect_failures = [var.defaults]
}

run "accepts_an_empty_map" {
  variables {
    projects = {}
  }
  assert {
    condition     = output.registry_access == {} && output.next_rotation == null
    error_message = "An empty map must make no resources."
  }
}
