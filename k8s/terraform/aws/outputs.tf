output "cdn_domain" {
  description = "Where the shop's DNS name points: CNAME or ALIAS."
  value       = aws_cloudfront_distribution.main.domain_name
}

output "cluster" {
  description = "Name of the cluster, for aws eks update-kubeconfig."
  value       = aws_eks_cluster.main.name
}

output "registry" {
  description = "Where the images are pushed, with the program's name behind it."
  value       = trimsuffix(aws_ecr_repository.program["gateway"].repository_url, "/gateway")
}

output "databases" {
  description = "For each service the address of its database's server; for each server the secret with the master's password."
  value = {
    address = merge([for name, d in var.databases : { for s in d.services : s => aws_db_instance.main[name].address }]...)
    master  = { for name, d in aws_db_instance.main : name => d.master_user_secret[0].secret_arn }
  }
}

output "cache" {
  description = "Address of ElastiCache, for rediss://:PASSWORD@ADDRESS:6379."
  value       = aws_elasticache_replication_group.main.primary_endpoint_address
}

output "backups" {
  description = "Bucket for dumps."
  value       = aws_s3_bucket.backups.bucket
}

# The release itself is Helm's: see README.md.
output "helm_values" {
  description = "Values for helm upgrade --install, behind helm/souk/values-prod.yaml."
  value = yamlencode({
    image = {
      repository = trimsuffix(aws_ecr_repository.program["gateway"].repository_url, "/gateway")
      tag        = var.image_tag
    }
    gateway = {
      secure         = true
      trustedProxies = [var.cidr]
      service        = { type = "NodePort", nodePort = var.node_port }
      env = merge(
        { SOUK_GATEWAY_PUBLIC_URL = "https://${var.domain}" },
        var.renderer.enabled ? { SOUK_GATEWAY_RENDERER_URL = "https://${var.domain}" } : {},
      )
    }
    postgres = {
      kind     = "external"
      external = { secret = "souk-%s-db", sslmode = "verify-full", caSecret = "souk-rds-ca" }
    }
    redis = {
      kind     = "external"
      external = { existingSecret = "souk-redis" }
    }
    events = {
      kind    = "bundled"
      bundled = { replicas = 3, storageClass = "gp3" }
    }
    backup = {
      enabled = true
      to      = "s3"
      s3 = {
        url            = "s3://${aws_s3_bucket.backups.bucket}/dumps"
        region         = var.region
        serviceAccount = local.pods.backup.account
      }
    }
    ingress = { enabled = false }
  })
}
