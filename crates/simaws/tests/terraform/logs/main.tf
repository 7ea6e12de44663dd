resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/eventchain-api-gateway"
  retention_in_days = 30
  tags              = { Project = "EventChain" }
}
