resource "aws_db_subnet_group" "this" {
  name       = "eventchain-db-subnet-group"
  subnet_ids = ["subnet-12345678", "subnet-87654321"]
  tags       = { Project = "EventChain" }
}

resource "aws_db_instance" "this" {
  identifier                  = "eventchain-prod-db"
  engine                      = "postgres"
  engine_version              = "13.7"
  instance_class              = "db.t3.medium"
  db_name                     = "eventchain"
  allocated_storage           = 100
  storage_type                = "gp2"
  storage_encrypted           = true
  multi_az                    = true
  publicly_accessible         = false
  username                    = "eventchain_admin"
  manage_master_user_password = true
  db_subnet_group_name        = aws_db_subnet_group.this.name
  vpc_security_group_ids      = ["sg-12345678"]
  backup_retention_period     = 7
  backup_window               = "03:00-04:00"
  maintenance_window          = "Sun:04:00-Sun:05:00"
  auto_minor_version_upgrade  = true
  skip_final_snapshot         = true
  apply_immediately           = true
  tags                        = { Project = "EventChain" }
}

resource "aws_db_snapshot" "this" {
  db_instance_identifier = aws_db_instance.this.identifier
  db_snapshot_identifier = "eventchain-prod-snapshot-20260301"
  tags                   = { Project = "EventChain" }
}
