data "autodevops_registry_coverage" "acme" {
  group   = "acme"
  exclude = ["acme/sandbox"]
}

# Fails while a project that needs access has none, and also while GitLab hides
# from this token whether that is so.
check "every_project_can_be_pulled" {
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.uncovered) == 0
    error_message = "No working deploy token: ${join(", ", data.autodevops_registry_coverage.acme.uncovered)}"
  }
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.hidden) == 0
    error_message = "Hidden from this token: ${join(", ", data.autodevops_registry_coverage.acme.hidden)}"
  }
}

# Warns 14 days before an expiry. Tokens of autodevops_registry_access are replaced
# 30 days before theirs, so this says that nobody has applied for two weeks.
check "no_token_is_about_to_expire" {
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.expiring) == 0
    error_message = "Expires within 14 days: ${join(", ", data.autodevops_registry_coverage.acme.expiring)}"
  }
}

output "uncovered" {
  value = {
    for path in data.autodevops_registry_coverage.acme.uncovered :
    path => data.autodevops_registry_coverage.acme.coverage[path].explanation
  }
}
