# In a test or a policy: what would be decided for these facts?
output "decision" {
  value = provider::autodevops::registry_access_required("public", "private", true)
}
# {
#   required    = true
#   reason      = "auto_devops_members_only"
#   explanation = "Auto DevOps deploys a public project whose container registry is for members only, ..."
# }
