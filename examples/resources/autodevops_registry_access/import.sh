# One deploy token of a project, by the project's path or id:
terraform import autodevops_registry_access.shop acme/shop:42

# The one working token named "autodevops-registry-access" or, if there is none,
# GitLab's own "gitlab-deploy-token":
terraform import autodevops_registry_access.shop acme/shop
