data "autodevops_registry_access" "shop" {
  project = "acme/shop"
}

# Warns in every plan and apply while the project needs access and has no working
# token with this provider's default name.
check "shop_can_pull" {
  assert {
    condition = (
      !data.autodevops_registry_access.shop.required ||
      anytrue(data.autodevops_registry_access.shop.tokens[*].works)
    )
    error_message = "acme/shop has no working pull token. ${data.autodevops_registry_access.shop.explanation}"
  }
}
