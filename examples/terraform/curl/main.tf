# Definitions by curl, without any provider from a registry. The key and the
# server's address come from the environment: KEY and SECRETSYNC.

variable "tenant" {
  type    = string
  default = "acme"
}

variable "definitions" {
  description = "The definitions by name."
  type = map(object({
    secret_path = string
    sync = list(object({
      cluster    = string
      namespace  = string
      secretName = optional(string)
    }))
  }))
}

locals {
  # The body of PATCH: fields without a value are left out.
  targets = {
    for name, d in var.definitions : name => jsonencode({
      sync = [for t in d.sync : { for field, value in t : field => value if value != null }]
    })
  }
}

# The name and the path of a definition are fixed; another path is another one.
resource "terraform_data" "definition" {
  for_each         = var.definitions
  triggers_replace = [each.value.secret_path]
  input            = { tenant = var.tenant, name = each.key }

  provisioner "local-exec" {
    command = "sh ${path.module}/definition.sh create"
    environment = {
      TENANT = var.tenant
      NAME   = each.key
      BODY   = jsonencode({ name = each.key, secretPath = each.value.secret_path })
    }
  }

  provisioner "local-exec" {
    when        = destroy
    command     = "sh ${path.module}/definition.sh delete"
    environment = { TENANT = self.output.tenant, NAME = self.output.name }
  }
}

# Its targets are changed in place.
resource "terraform_data" "targets" {
  for_each         = var.definitions
  triggers_replace = [local.targets[each.key], terraform_data.definition[each.key].id]

  provisioner "local-exec" {
    command     = "sh ${path.module}/definition.sh targets"
    environment = { TENANT = var.tenant, NAME = each.key, BODY = local.targets[each.key] }
  }
}
