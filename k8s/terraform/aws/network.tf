# Three kinds of subnets in each zone: public ones have NAT gateways and nothing else, private
# ones nodes, the load balancer and the cluster's API, and data ones the stores, with no way to
# or from the internet.

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, var.zones)
}

resource "aws_vpc" "main" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = "souk-${var.name}" }
}

# Nothing uses the default group; it lets nothing through.
resource "aws_default_security_group" "unused" {
  vpc_id = aws_vpc.main.id
}

# CloudFront reaches a load balancer within a VPC only where the VPC has an internet gateway. No
# route of the load balancer's subnets leads to it.
resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id

  tags = { Name = "souk-${var.name}" }
}

resource "aws_subnet" "public" {
  for_each = { for i, zone in local.zones : zone => i }

  vpc_id                  = aws_vpc.main.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 4, each.value)
  map_public_ip_on_launch = false

  tags = { Name = "souk-${var.name}-public-${each.key}" }
}

resource "aws_subnet" "private" {
  for_each = { for i, zone in local.zones : zone => i }

  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, 4 + each.value)

  tags = { Name = "souk-${var.name}-private-${each.key}" }
}

resource "aws_subnet" "data" {
  for_each = { for i, zone in local.zones : zone => i }

  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, 8 + each.value)

  tags = { Name = "souk-${var.name}-data-${each.key}" }
}

locals {
  # The zone whose NAT gateway each zone uses.
  nat_of = { for zone in local.zones : zone => var.nat_per_zone ? zone : local.zones[0] }
}

resource "aws_eip" "nat" {
  for_each = toset(values(local.nat_of))

  domain = "vpc"

  tags = { Name = "souk-${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "main" {
  for_each = toset(values(local.nat_of))

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = { Name = "souk-${var.name}-${each.key}" }

  depends_on = [aws_internet_gateway.main]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.main.id
  }

  tags = { Name = "souk-${var.name}-public" }
}

resource "aws_route_table" "private" {
  for_each = local.nat_of

  vpc_id = aws_vpc.main.id

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.main[each.value].id
  }

  tags = { Name = "souk-${var.name}-private-${each.key}" }
}

resource "aws_route_table" "data" {
  vpc_id = aws_vpc.main.id

  tags = { Name = "souk-${var.name}-data" }
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

resource "aws_route_table_association" "data" {
  for_each = aws_subnet.data

  subnet_id      = each.value.id
  route_table_id = aws_route_table.data.id
}

# Backups and image layers go to S3 past the NAT gateways, which cost by the byte.
resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.main.id
  service_name    = "com.amazonaws.${var.region}.s3"
  route_table_ids = [for t in aws_route_table.private : t.id]

  tags = { Name = "souk-${var.name}-s3" }
}

resource "aws_flow_log" "main" {
  vpc_id                   = aws_vpc.main.id
  traffic_type             = "REJECT"
  log_destination_type     = "cloud-watch-logs"
  log_destination          = aws_cloudwatch_log_group.flow.arn
  iam_role_arn             = aws_iam_role.flow.arn
  max_aggregation_interval = 600
}

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/vpc/souk-${var.name}"
  retention_in_days = 30
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_iam_role" "flow" {
  name               = "souk-${var.name}-flow"
  assume_role_policy = data.aws_iam_policy_document.assume["vpc-flow-logs"].json
}

resource "aws_iam_role_policy" "flow" {
  name   = "logs"
  role   = aws_iam_role.flow.id
  policy = data.aws_iam_policy_document.flow.json
}

data "aws_iam_policy_document" "flow" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = ["${aws_cloudwatch_log_group.flow.arn}:*"]
  }
}

# Who may take on the roles of AWS's services: those of this account's resources alone.
data "aws_iam_policy_document" "assume" {
  for_each = toset(["vpc-flow-logs", "eks", "ec2", "lambda", "monitoring.rds"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }

    dynamic "condition" {
      for_each = contains(["vpc-flow-logs", "eks", "monitoring.rds"], each.key) ? [1] : [] # ec2 and lambda do not say for whom
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [data.aws_caller_identity.current.account_id]
      }
    }
  }
}
