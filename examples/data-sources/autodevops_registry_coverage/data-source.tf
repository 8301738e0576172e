data "autodevops_registry_coverage" "acme" {
  group   = "acme"
  exclude = ["acme/sandbox"]
}

# The check only warns. The data source is outside of the check, because Terraform reads a
# data source within a check again in every apply, so that no plan is ever empty.
check "every_project_can_be_pulled" {
  # A project that needs access has none.
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.uncovered) == 0
    error_message = "No working deploy token: ${join(", ", data.autodevops_registry_coverage.acme.uncovered)}"
  }
  # GitLab hides from the provider's token whether these projects have access.
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.hidden) == 0
    error_message = "Hidden from this token: ${join(", ", data.autodevops_registry_coverage.acme.hidden)}"
  }
  # Warns 14 days before an expiry. autodevops_registry_access replaces its tokens 30 days
  # before they expire. So this warning means that nobody has applied for two weeks.
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.expiring) == 0
    error_message = "Expires within 14 days: ${join(", ", data.autodevops_registry_coverage.acme.expiring)}"
  }
}
