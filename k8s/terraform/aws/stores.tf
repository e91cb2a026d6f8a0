# PostgreSQL: instances with a standby in another zone, to which RDS writes synchronously. A
# commit that was acknowledged is in both; the standby takes over in one to two minutes.

resource "aws_db_subnet_group" "main" {
  name       = "souk-${var.name}"
  subnet_ids = [for s in aws_subnet.data : s.id]
}

resource "aws_db_parameter_group" "main" {
  name_prefix = "souk-${var.name}-"
  family      = "postgres17"

  # Without TLS nobody is let in.
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # What a statement waited for is seen when it took longer than 250 ms.
  parameter {
    name  = "log_min_duration_statement"
    value = "250"
  }

  parameter {
    name  = "log_lock_waits"
    value = "1"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "main" {
  for_each = var.databases

  identifier     = "souk-${var.name}-${each.key}"
  engine         = "postgres"
  engine_version = "17"
  instance_class = each.value.class

  # RDS makes the password, keeps it in Secrets Manager and rotates it: it is not in the state.
  username                      = "master"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = aws_kms_key.main.key_id

  multi_az               = true
  publicly_accessible    = false
  db_subnet_group_name   = aws_db_subnet_group.main.name
  vpc_security_group_ids = [aws_security_group.store["postgres"].id]
  parameter_group_name   = aws_db_parameter_group.main.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  storage_type          = "gp3"
  allocated_storage     = each.value.storage
  max_allocated_storage = each.value.max_storage
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.main.arn

  backup_retention_period   = var.database_backup_days
  backup_window             = "02:00-03:00"
  maintenance_window        = "tue:03:30-tue:04:30"
  copy_tags_to_snapshot     = true
  deletion_protection       = var.protect
  skip_final_snapshot       = !var.protect
  final_snapshot_identifier = "souk-${var.name}-${each.key}-final"

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  performance_insights_enabled    = true
  performance_insights_kms_key_id = aws_kms_key.main.arn
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
}

resource "aws_iam_role" "monitoring" {
  name               = "souk-${var.name}-monitoring"
  assume_role_policy = data.aws_iam_policy_document.assume["monitoring.rds"].json
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

# Valkey, of which the shop keeps copies only: it may be lost.
resource "aws_elasticache_subnet_group" "main" {
  name       = "souk-${var.name}"
  subnet_ids = [for s in aws_subnet.data : s.id]
}

resource "aws_elasticache_replication_group" "main" {
  replication_group_id = "souk-${var.name}"
  description          = "Copies of the catalog of souk ${var.name}"
  engine               = "valkey"
  engine_version       = "8.0"
  node_type            = var.cache_node
  port                 = 6379

  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true

  subnet_group_name  = aws_elasticache_subnet_group.main.name
  security_group_ids = [aws_security_group.store["redis"].id]

  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true
  kms_key_id                 = aws_kms_key.main.arn
  auth_token                 = var.cache_password
  snapshot_retention_limit   = 0 # copies

  lifecycle {
    ignore_changes = [auth_token] # rotated outside, so that the state has an old one
  }
}

# Backups beside RDS's own: dumps of all databases of one moment.
resource "aws_s3_bucket" "backups" {
  bucket        = "souk-${var.name}-backups-${data.aws_caller_identity.current.account_id}"
  force_destroy = false
}

resource "aws_s3_bucket_public_access_block" "backups" {
  bucket = aws_s3_bucket.backups.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "backups" {
  bucket = aws_s3_bucket.backups.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "backups" {
  bucket = aws_s3_bucket.backups.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "backups" {
  bucket = aws_s3_bucket.backups.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.main.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "backups" {
  bucket = aws_s3_bucket.backups.id

  rule {
    id     = "old"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 35
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  depends_on = [aws_s3_bucket_versioning.backups]
}

resource "aws_s3_bucket_policy" "backups" {
  bucket = aws_s3_bucket.backups.id
  policy = data.aws_iam_policy_document.backups.json

  depends_on = [aws_s3_bucket_public_access_block.backups]
}

data "aws_iam_policy_document" "backups" {
  statement {
    sid       = "TLSOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.backups.arn, "${aws_s3_bucket.backups.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

# The stores are reached by the nodes alone, and reach nothing.
resource "aws_security_group" "store" {
  for_each = { postgres = "PostgreSQL", redis = "Valkey" }

  name        = "souk-${var.name}-${each.key}"
  description = "${each.value} of souk ${var.name}"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "souk-${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "store" {
  for_each = { postgres = 5432, redis = 6379 }

  description                  = "From the nodes"
  security_group_id            = aws_security_group.store[each.key].id
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

# Which nodes it is that the stores and the load balancer mean; the cluster's own group has what
# nodes and the API need of each other.
resource "aws_security_group" "node" {
  name        = "souk-${var.name}-node"
  description = "Nodes of souk ${var.name}"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "souk-${var.name}-node" }
}
