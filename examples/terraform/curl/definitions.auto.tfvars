definitions = {
  smtp-password = {
    secret_path = "production/smtp"
    sync        = [{ cluster = "production", namespace = "default" }]
  }
}
