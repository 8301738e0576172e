# For a test or a policy: what is the decision for these facts?
output "decision" {
  value = provider::autodevops::registry_access_required("public", "private", true)
}
# {
#   required    = true
#   reason      = "auto_devops_members_only"
#   explanation = "Auto DevOps deploys a public project whose container registry is for members only, ..."
# }
