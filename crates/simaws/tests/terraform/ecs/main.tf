# The guide's API gateway: cluster, task definition, service behind a target group (of ../elbv2, in the same apply),
# scalable target, target-tracking policy; and a worker with none of it.
resource "aws_ecs_cluster" "main" {
  name = "tf-main"

  setting {
    name  = "containerInsights"
    value = "enabled"
  }

  tags = {
    Project = "EventChain"
  }
}

resource "aws_ecs_task_definition" "api" {
  family                   = "tf-api-gateway"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = "512"
  memory                   = "1024"
  execution_role_arn       = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
  task_role_arn            = "arn:aws:iam::123456789012:role/ecsTaskRole"

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }

  volume {
    name = "scratch"
  }

  container_definitions = jsonencode([{
    name         = "api-gateway"
    image        = "123456789012.dkr.ecr.us-east-1.amazonaws.com/eventchain-api-gateway:latest"
    portMappings = [{ containerPort = 8080 }]
    environment  = [{ name = "NODE_ENV", value = "production" }]
    secrets      = [{ name = "DATABASE_URL", valueFrom = "arn:aws:secretsmanager:us-east-1:123456789012:secret:eventchain/database-url" }]
    mountPoints  = [{ sourceVolume = "scratch", containerPath = "/scratch" }]
    ulimits      = [{ name = "nofile", softLimit = 4096, hardLimit = 8192 }]
    healthCheck  = { command = ["CMD-SHELL", "curl -f http://localhost:8080/health"], startPeriod = 10 }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = "/ecs/tf-api-gateway"
        awslogs-region        = "us-east-1"
        awslogs-stream-prefix = "ecs"
      }
    }
  }])

  tags = {
    Project = "EventChain"
  }
}

resource "aws_ecs_task_definition" "worker" {
  family                   = "tf-worker"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = "256"
  memory                   = "512"
  container_definitions    = jsonencode([{ name = "worker", image = "worker:1", essential = true }])
}

resource "aws_ecs_service" "api" {
  name                              = "tf-api-gateway"
  cluster                           = aws_ecs_cluster.main.id
  task_definition                   = aws_ecs_task_definition.api.arn
  desired_count                     = 2
  launch_type                       = "FARGATE"
  health_check_grace_period_seconds = 30

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = ["subnet-12345678", "subnet-87654321"]
    security_groups  = ["sg-12345678"]
    assign_public_ip = true
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.api.arn
    container_name   = "api-gateway"
    container_port   = 8080
  }

  tags = {
    Project = "EventChain"
  }

  depends_on = [aws_lb_listener.https]

  lifecycle {
    ignore_changes = [desired_count]
  }
}

resource "aws_ecs_service" "worker" {
  name            = "tf-worker"
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.worker.arn
  desired_count   = 1

  deployment_minimum_healthy_percent = 50
  deployment_maximum_percent         = 150

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }

  network_configuration {
    subnets = ["subnet-12345678"]
  }
}

resource "aws_appautoscaling_target" "api" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.main.name}/${aws_ecs_service.api.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = 3
  max_capacity       = 10

  tags = {
    Project = "EventChain"
  }
}

resource "aws_appautoscaling_policy" "api" {
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.api.service_namespace
  resource_id        = aws_appautoscaling_target.api.resource_id
  scalable_dimension = aws_appautoscaling_target.api.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 70
    scale_in_cooldown  = 300
    scale_out_cooldown = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
