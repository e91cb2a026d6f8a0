# What must hold of the installation, made with a provider that calls nothing.
#
#   terraform init -backend=false && terraform test

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }

  mock_data "aws_ec2_managed_prefix_list" {
    defaults = { id = "pl-0123456789abcdef0" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
  }

  mock_resource "aws_lb" {
    defaults = {
      arn      = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/mock/1"
      dns_name = "internal-mock.eu-central-1.elb.amazonaws.com"
    }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/mock/1" }
  }

  mock_resource "aws_cloudfront_distribution" {
    defaults = { arn = "arn:aws:cloudfront::123456789012:distribution/MOCK", domain_name = "mock.cloudfront.net" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::souk-mock" }
  }

  mock_resource "aws_ecr_repository" {
    defaults = { repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/souk-mock/gateway" }
  }

  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://mock.lambda-url.eu-central-1.on.aws/" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }

  mock_resource "aws_eks_cluster" {
    defaults = { arn = "arn:aws:eks:eu-central-1:123456789012:cluster/mock" }
  }

  mock_resource "aws_eks_node_group" {
    defaults = { resources = [{ autoscaling_groups = [{ name = "mock" }], remote_access_security_group_id = "" }] }
  }

  mock_resource "aws_db_instance" {
    defaults = { address = "mock.rds.amazonaws.com", master_user_secret = [{ kms_key_id = "", secret_arn = "mock", secret_status = "active" }] }
  }
}

variables {
  name                   = "test"
  domain                 = "shop.example.com"
  cdn_certificate_arn    = "arn:aws:acm:us-east-1:123456789012:certificate/a"
  origin_certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/b"
  cache_password         = "0123456789abcdef0123456789abcdef"
  image_tag              = "v1"
}

run "stores" {
  assert {
    condition     = alltrue([for d in aws_db_instance.main : d.multi_az])
    error_message = "a database has no synchronous standby"
  }

  assert {
    condition     = alltrue([for d in aws_db_instance.main : !d.publicly_accessible && d.storage_encrypted && d.deletion_protection && !d.skip_final_snapshot])
    error_message = "a database is public, not encrypted, or can be destroyed"
  }

  assert {
    condition     = alltrue([for d in aws_db_instance.main : d.manage_master_user_password && d.password == null])
    error_message = "a database's password is in the state"
  }

  assert {
    condition     = alltrue([for d in aws_db_instance.main : d.backup_retention_period >= 7])
    error_message = "a database cannot be restored to a second of the last week"
  }

  assert {
    condition     = anytrue([for p in aws_db_parameter_group.main.parameter : p.name == "rds.force_ssl" && p.value == "1"])
    error_message = "PostgreSQL takes connections without TLS"
  }

  assert {
    condition     = aws_elasticache_replication_group.main.transit_encryption_enabled && aws_elasticache_replication_group.main.transit_encryption_mode == "required" && aws_elasticache_replication_group.main.auth_token != null
    error_message = "ElastiCache takes connections without TLS or password"
  }

  assert {
    condition     = aws_elasticache_replication_group.main.automatic_failover_enabled && aws_elasticache_replication_group.main.at_rest_encryption_enabled == "true"
    error_message = "ElastiCache does not fail over, or is not encrypted"
  }

  assert {
    condition     = aws_s3_bucket_versioning.backups.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.backups.force_destroy
    error_message = "backups can be overwritten for good"
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.backups.block_public_acls, aws_s3_bucket_public_access_block.backups.block_public_policy,
      aws_s3_bucket_public_access_block.backups.ignore_public_acls, aws_s3_bucket_public_access_block.backups.restrict_public_buckets,
    ])
    error_message = "backups may be public"
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.backups.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    error_message = "backups are not encrypted with the key"
  }

  # The gateway of every data subnet's route table is the VPC alone.
  assert {
    condition     = length(aws_route_table.data.route) == 0 || aws_route_table.data.route == null
    error_message = "the stores have a way to the internet"
  }
}

run "reach" {
  assert {
    condition     = !aws_eks_cluster.main.vpc_config[0].endpoint_public_access && aws_eks_cluster.main.vpc_config[0].endpoint_private_access
    error_message = "the cluster's API is reached from the internet, and nobody asked for it"
  }

  assert {
    condition     = aws_lb.gateway.internal && alltrue([for s in aws_subnet.public : !s.map_public_ip_on_launch])
    error_message = "something besides CloudFront and NAT is public"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.balancer.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.balancer.prefix_list_id == "pl-0123456789abcdef0"
    error_message = "others than CloudFront reach the load balancer"
  }

  assert {
    condition     = alltrue([for r in aws_vpc_security_group_ingress_rule.store : r.referenced_security_group_id == aws_security_group.node.id && r.cidr_ipv4 == null])
    error_message = "others than the nodes reach a store"
  }

  assert {
    condition     = aws_launch_template.node.metadata_options[0].http_tokens == "required" && aws_launch_template.node.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "pods reach the node's credentials"
  }

  assert {
    condition     = one(aws_cloudfront_distribution.main.viewer_certificate).minimum_protocol_version == "TLSv1.2_2021" && one(aws_cloudfront_distribution.main.default_cache_behavior).viewer_protocol_policy == "redirect-to-https"
    error_message = "the shop is served without TLS, or by an old one"
  }

  assert {
    condition     = aws_cloudfront_vpc_origin.gateway.vpc_origin_endpoint_config[0].origin_protocol_policy == "https-only"
    error_message = "CloudFront asks without TLS"
  }

  assert {
    condition = alltrue([
      aws_cloudfront_cache_policy.public.default_ttl == 0, aws_cloudfront_cache_policy.public.min_ttl == 0,
      one(one(aws_cloudfront_cache_policy.public.parameters_in_cache_key_and_forwarded_to_origin).cookies_config).cookie_behavior == "none",
      one(aws_cloudfront_origin_request_policy.public.cookies_config).cookie_behavior == "none",
    ])
    error_message = "CloudFront keeps what the gateway does not offer, or sends cookies for what it keeps"
  }

  assert {
    condition = length(setsubtract(
      ["400", "403", "404", "405", "414", "500", "501", "502", "503", "504"],
      [for e in aws_cloudfront_distribution.main.custom_error_response : tostring(e.error_code) if e.error_caching_min_ttl == 0],
    )) == 0
    error_message = "CloudFront keeps errors, which are one shopper's, for ten seconds"
  }

  assert {
    condition     = alltrue([for b in aws_cloudfront_distribution.main.ordered_cache_behavior : !contains(b.allowed_methods, "POST")])
    error_message = "a path that is kept takes writes"
  }

  assert {
    condition     = jsondecode(aws_eks_addon.early["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "the chart's network policies are not enforced"
  }
}

# No statement of a role is about everything: neither all actions nor all resources.
run "roles" {
  assert {
    condition = alltrue(flatten([
      for d in [data.aws_iam_policy_document.backup, data.aws_iam_policy_document.flow] : [
        for s in d.statement : [for a in s.actions : !endswith(a, "*")]
      ]
    ]))
    error_message = "a role may do whatever there is"
  }

  assert {
    condition = alltrue(flatten([
      for d in [data.aws_iam_policy_document.backup, data.aws_iam_policy_document.flow] : [
        for s in d.statement : [for r in s.resources : r != "*"]
      ]
    ]))
    error_message = "a role may do something to everything"
  }

  assert {
    condition     = !contains(flatten([for s in data.aws_iam_policy_document.backup.statement : tolist(s.actions)]), "s3:DeleteObjectVersion")
    error_message = "the backup job can destroy what there is"
  }

  assert {
    condition = alltrue([
      for name, d in data.aws_iam_policy_document.pod : length([
        for c in d.statement[0].condition : c if c.variable == "aws:RequestTag/kubernetes-service-account" && one(c.values) == local.pods[name].account
      ]) == 1
    ])
    error_message = "a pod's role is for more than one service account"
  }

  assert {
    condition     = one(one(data.aws_iam_policy_document.backups.statement).condition).variable == "aws:SecureTransport" && one(data.aws_iam_policy_document.backups.statement).effect == "Deny"
    error_message = "backups are reached without TLS"
  }

  assert {
    condition     = length(aws_lambda_function.renderer) == 0 && length(aws_lambda_function_url.renderer) == 0
    error_message = "there is a function that nobody asked for"
  }
}

run "renderer" {
  variables {
    renderer = { enabled = true, public_key = "MCowBQYDK2VwAyEAMCowBQYDK2VwAyEAMCowBQYDK2U=" }
  }

  assert {
    condition     = aws_lambda_function_url.renderer[0].authorization_type == "AWS_IAM" && aws_cloudfront_origin_access_control.renderer[0].signing_behavior == "always"
    error_message = "everybody invokes the function"
  }

  assert {
    condition     = alltrue([for p in aws_lambda_permission.renderer : p.principal == "cloudfront.amazonaws.com" && p.source_arn == aws_cloudfront_distribution.main.arn])
    error_message = "others than this distribution invoke the function"
  }

  assert {
    condition = alltrue(flatten([for s in data.aws_iam_policy_document.renderer[0].statement : [
      [for a in s.actions : contains(["logs:CreateLogStream", "logs:PutLogEvents", "kms:Decrypt"], a)], [for r in s.resources : r != "*"],
    ]]))
    error_message = "the function may do more than write its log"
  }

  assert {
    condition     = aws_lambda_function.renderer[0].reserved_concurrent_executions == 10 && aws_lambda_function.renderer[0].environment[0].variables.SOUK_RENDERER_PUBLIC_KEY == var.renderer.public_key
    error_message = "the function has no limit, or draws for everybody"
  }

  assert {
    condition     = yamldecode(output.helm_values).gateway.env.SOUK_GATEWAY_RENDERER_URL == "https://shop.example.com"
    error_message = "the gateway does not ask it"
  }
}

# The chart's tests render the chart with this file.
run "release" {
  assert {
    condition     = yamldecode(output.helm_values) == yamldecode(file("tests/values.yaml"))
    error_message = "tests/values.yaml is not the output helm_values:\n${output.helm_values}"
  }
}

run "instances_of_their_own" {
  variables {
    databases = {
      main  = { services = ["catalog", "cart", "notification", "insight"] }
      money = { services = ["order", "payment"], class = "db.m7g.large" }
    }
    nat_per_zone = false
  }

  assert {
    condition     = length(aws_db_instance.main) == 2 && aws_db_instance.main["money"].instance_class == "db.m7g.large" && aws_db_instance.main["money"].multi_az
    error_message = "the services that handle money have no instance of their own"
  }

  assert {
    condition     = length(aws_nat_gateway.main) == 1 && length(aws_route_table.private) == 3
    error_message = "one NAT gateway is not what one asks for"
  }
}

run "bad_domain" {
  command = plan
  variables { domain = "https://shop" }
  expect_failures = [var.domain]
}

run "certificate_of_another_region" {
  command = plan
  variables { cdn_certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/a" }
  expect_failures = [var.cdn_certificate_arn]
}

run "api_for_everybody" {
  command = plan
  variables { api_cidrs = ["0.0.0.0/0"] }
  expect_failures = [var.api_cidrs]
}

run "a_service_without_a_database" {
  command = plan
  variables {
    databases = { main = { services = ["catalog", "cart", "order", "payment", "notification"] } }
  }
  expect_failures = [var.databases]
}

run "short_password" {
  command = plan
  variables { cache_password = "short" }
  expect_failures = [var.cache_password]
}

run "a_function_for_everybody" {
  command = plan
  variables { renderer = { enabled = true } }
  expect_failures = [var.renderer]
}

run "intel_nodes" {
  command = plan
  variables { nodes = { type = "m7i.large" } }
  expect_failures = [var.nodes]
}

run "large_network" {
  command = plan
  variables { cidr = "10.0.0.0/8" }
  expect_failures = [var.cidr]
}
