# Browser -> CloudFront -> load balancer in private subnets -> the gateway's port on the nodes.

data "aws_ec2_managed_prefix_list" "cloudfront" {
  name = "com.amazonaws.global.cloudfront.origin-facing"
}

resource "aws_security_group" "balancer" {
  name        = "souk-${var.name}-balancer"
  description = "Load balancer of souk ${var.name}"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "souk-${var.name}-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  description       = "HTTPS from CloudFront"
  security_group_id = aws_security_group.balancer.id
  prefix_list_id    = data.aws_ec2_managed_prefix_list.cloudfront.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  description                  = "To the gateway"
  security_group_id            = aws_security_group.balancer.id
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = var.node_port
  to_port                      = var.node_port
}

resource "aws_vpc_security_group_ingress_rule" "node" {
  description                  = "From the load balancer"
  security_group_id            = aws_security_group.node.id
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = var.node_port
  to_port                      = var.node_port
}

resource "aws_lb" "gateway" {
  name                       = "souk-${var.name}"
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = [for s in aws_subnet.private : s.id]
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.protect
  idle_timeout               = 120 # the gateway's: streams of events say something every 15 s
}

resource "aws_lb_target_group" "gateway" {
  name                 = "souk-${var.name}"
  vpc_id               = aws_vpc.main.id
  protocol             = "HTTP"
  port                 = var.node_port
  deregistration_delay = 60

  health_check {
    path                = "/healthz" # a node without a gateway forwards to one
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_autoscaling_attachment" "gateway" {
  autoscaling_group_name = aws_eks_node_group.main.resources[0].autoscaling_groups[0].name
  lb_target_group_arn    = aws_lb_target_group.gateway.arn
}

resource "aws_lb_listener" "gateway" {
  load_balancer_arn = aws_lb.gateway.arn
  port              = 443
  protocol          = "HTTPS"
  certificate_arn   = var.origin_certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.gateway.arn
  }
}

resource "aws_cloudfront_vpc_origin" "gateway" {
  vpc_origin_endpoint_config {
    name                   = "souk-${var.name}"
    arn                    = aws_lb.gateway.arn
    http_port              = 80
    https_port             = 443
    origin_protocol_policy = "https-only"

    origin_ssl_protocols {
      items    = ["TLSv1.2"]
      quantity = 1
    }
  }

  depends_on = [aws_internet_gateway.main]
}

# What is the same for everybody is kept for as long as the gateway says by s-maxage or max-age, and
# not at all without either. No cookie is in the key, because none is sent on: what a shopper
# owns can't come to be kept.
resource "aws_cloudfront_cache_policy" "public" {
  name        = "souk-${var.name}-public"
  min_ttl     = 0
  default_ttl = 0
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = true
    enable_accept_encoding_gzip   = true

    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "all"
    }
  }
}

# The load balancer's certificate is of the shop's name, which Host has to be.
resource "aws_cloudfront_origin_request_policy" "public" {
  name = "souk-${var.name}-public"

  cookies_config {
    cookie_behavior = "none"
  }

  headers_config {
    header_behavior = "whitelist"

    headers {
      items = ["Host"]
    }
  }

  query_strings_config {
    query_string_behavior = "all"
  }
}

data "aws_cloudfront_cache_policy" "disabled" {
  name = "Managed-CachingDisabled"
}

data "aws_cloudfront_origin_request_policy" "all" {
  name = "Managed-AllViewer"
}

resource "aws_cloudfront_distribution" "main" {
  comment         = "souk ${var.name}"
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  aliases         = [var.domain]
  price_class     = "PriceClass_100"

  viewer_certificate {
    acm_certificate_arn      = var.cdn_certificate_arn
    minimum_protocol_version = "TLSv1.2_2021"
    ssl_support_method       = "sni-only"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  origin {
    origin_id   = "gateway"
    domain_name = aws_lb.gateway.dns_name

    vpc_origin_config {
      vpc_origin_id            = aws_cloudfront_vpc_origin.gateway.id
      origin_keepalive_timeout = 60
      origin_read_timeout      = 60
    }
  }

  dynamic "origin" {
    for_each = aws_lambda_function_url.renderer
    content {
      origin_id                = "renderer"
      domain_name              = trimsuffix(trimprefix(origin.value.function_url, "https://"), "/")
      origin_access_control_id = aws_cloudfront_origin_access_control.renderer[0].id

      custom_origin_config {
        http_port              = 80
        https_port             = 443
        origin_protocol_policy = "https-only"
        origin_ssl_protocols   = ["TLSv1.2"]
      }
    }
  }

  # CloudFront keeps errors for 10 s unless told otherwise, whatever the policy of the path and
  # Cache-Control say: who has no right to an order would have its buyer see the same 404.
  dynamic "custom_error_response" {
    for_each = [400, 403, 404, 405, 414, 500, 501, 502, 503, 504]
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 0
    }
  }

  # Carts, orders, operators, the API: all of the viewer's, and nothing kept.
  default_cache_behavior {
    target_origin_id         = "gateway"
    viewer_protocol_policy   = "redirect-to-https"
    allowed_methods          = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods           = ["GET", "HEAD"]
    cache_policy_id          = data.aws_cloudfront_cache_policy.disabled.id
    origin_request_policy_id = data.aws_cloudfront_origin_request_policy.all.id
  }

  dynamic "ordered_cache_behavior" {
    for_each = ["/", "/static/*", "/pictures/*", "/products", "/products/*", "/categories/*"]
    content {
      path_pattern             = ordered_cache_behavior.value
      target_origin_id         = "gateway"
      viewer_protocol_policy   = "redirect-to-https"
      allowed_methods          = ["GET", "HEAD"]
      cached_methods           = ["GET", "HEAD"]
      compress                 = true
      cache_policy_id          = aws_cloudfront_cache_policy.public.id
      origin_request_policy_id = aws_cloudfront_origin_request_policy.public.id
    }
  }

  dynamic "ordered_cache_behavior" {
    for_each = aws_lambda_function_url.renderer
    content {
      path_pattern           = "/render/*"
      target_origin_id       = "renderer"
      viewer_protocol_policy = "https-only"
      allowed_methods        = ["GET", "HEAD"]
      cached_methods         = ["GET", "HEAD"]
      compress               = true
      cache_policy_id        = aws_cloudfront_cache_policy.public.id # the query alone: no cookie of a shopper, no token
    }
  }
}
