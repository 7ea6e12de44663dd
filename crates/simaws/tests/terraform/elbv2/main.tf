# A target group with its health check, and a redirecting and a forwarding listener. The load balancer is there
# before: Terraform's own waits half a minute for it, and asks EC2 about its interfaces when it is destroyed.
variable "load_balancer_arn" {
  type = string
}

resource "aws_lb_target_group" "api" {
  name                 = "tf-api"
  port                 = 8080
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = "vpc-0a1b2c3d"
  deregistration_delay = 30

  health_check {
    path     = "/health"
    interval = 15
    timeout  = 5
    matcher  = "200-299"
  }

  tags = {
    Team = "platform"
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = var.load_balancer_arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"
    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = var.load_balancer_arn
  port              = 443
  protocol          = "HTTPS"
  certificate_arn   = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }
}
