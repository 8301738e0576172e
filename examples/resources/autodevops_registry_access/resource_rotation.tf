# Quarterly rotation, three weeks ahead of the expiry, and at once after an incident.
resource "autodevops_registry_access" "billing" {
  project = "acme/billing"

  rotation = {
    expiration_days    = 90
    rotate_before_days = 21
    overlap_days       = 7
  }

  rotate_when_changed = {
    incident = "2026-03"
  }
}
