# Within the check, so that a GitLab that does not answer is a warning too, and keeps
# nobody from applying.
check "every_project_can_be_pulled" {
  data "autodevops_registry_coverage" "acme" {
    group   = "acme"
    exclude = ["acme/sandbox"]
  }

  # A project that needs access has none.
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.uncovered) == 0
    error_message = "No working deploy token: ${join(", ", data.autodevops_registry_coverage.acme.uncovered)}"
  }
  # GitLab hides from this token whether that is so.
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.hidden) == 0
    error_message = "Hidden from this token: ${join(", ", data.autodevops_registry_coverage.acme.hidden)}"
  }
  # 14 days before an expiry. Tokens of autodevops_registry_access are replaced 30 days
  # before theirs, so this says that nobody has applied for two weeks.
  assert {
    condition     = length(data.autodevops_registry_coverage.acme.expiring) == 0
    error_message = "Expires within 14 days: ${join(", ", data.autodevops_registry_coverage.acme.expiring)}"
  }
}
