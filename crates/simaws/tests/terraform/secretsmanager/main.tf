resource "aws_secretsmanager_secret" "this" {
  name                    = "eventchain/database-url"
  description             = "EventChain database connection string"
  recovery_window_in_days = 7
  tags                    = { Project = "EventChain" }
}

resource "aws_secretsmanager_secret_version" "this" {
  secret_id     = aws_secretsmanager_secret.this.id
  secret_string = "postgres://example"
}

resource "aws_secretsmanager_secret_rotation" "this" {
  secret_id           = aws_secretsmanager_secret.this.id
  rotation_lambda_arn = "arn:aws:lambda:us-east-1:123456789012:function:rotate"
  rotate_immediately  = false
  rotation_rules {
    automatically_after_days = 30
  }
}
