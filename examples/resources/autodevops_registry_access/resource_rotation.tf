# Tokens expire after 90 days and are replaced three weeks before. After an incident,
# change the value of incident to rotate at once.
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

  lifecycle {
    create_before_destroy = true
  }
}
