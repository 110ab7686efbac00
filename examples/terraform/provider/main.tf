# A definition by the provider Mastercard/restapi, awaited by hashicorp/http.

terraform {
  required_providers {
    restapi = { source = "Mastercard/restapi" }
    http    = { source = "hashicorp/http" }
  }
}

variable "address" {
  description = "Where the server is, such as https://secretsync.example.com."
  type        = string
}

variable "tenant" {
  type = string
}

variable "key" {
  description = "An admin key of the tenant; give it as TF_VAR_key."
  type        = string
  sensitive   = true
}

locals {
  sync = [
    { cluster = "production", namespace = "default" },
    { cluster = "production", namespace = "backend", secretName = "smtp" },
  ]
}

provider "restapi" {
  uri                  = "${var.address}/api/v1/tenants/${var.tenant}"
  write_returns_object = true
  id_attribute         = "name"
  update_method        = "PATCH"
  headers = {
    Authorization = "Bearer ${var.key}"
    Content-Type  = "application/json"
  }
}

resource "restapi_object" "smtp_password" {
  path = "/secrets"
  data = jsonencode({
    name       = "smtp-password"
    secretPath = "production/smtp"
    sync       = local.sync
  })
  # PATCH takes the targets and nothing else.
  update_data = jsonencode({ sync = local.sync })
  # The name and the path are fixed; another path is another definition.
  force_new = ["production/smtp"]
}

# The answer comes as soon as every copy is right, or at the timeout.
data "http" "smtp_password" {
  url             = "${var.address}/api/v1/tenants/${var.tenant}/secrets/${restapi_object.smtp_password.id}?wait=Active&timeout=30s"
  request_headers = { Authorization = "Bearer ${var.key}" }

  lifecycle {
    postcondition {
      condition     = jsondecode(self.response_body).status.phase == "Active"
      error_message = "smtp-password is not live: ${jsondecode(self.response_body).status.phase}"
    }
  }
}
