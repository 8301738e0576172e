# A list of projects instead of a group, with the results for each project.
data "autodevops_registry_coverage" "shops" {
  projects             = ["acme/shop", "acme/billing"]
  expiring_within_days = 45
}

output "expiries" {
  value = {
    for path, project in data.autodevops_registry_coverage.shops.coverage :
    path => project.expires_at if project.covered == true
  }
}

output "uncovered" {
  value = {
    for path in data.autodevops_registry_coverage.shops.uncovered :
    path => data.autodevops_registry_coverage.shops.coverage[path].explanation
  }
}
