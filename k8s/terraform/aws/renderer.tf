# The picture renderer as a Lambda function (docs/serverless.md), off unless asked for. Its URL
# takes requests that CloudFront signed, and CloudFront those that the gateway signed for it.

resource "aws_lambda_function" "renderer" {
  count = var.renderer.enabled ? 1 : 0

  function_name                  = "souk-${var.name}-renderer"
  role                           = aws_iam_role.renderer[0].arn
  package_type                   = "Image"
  image_uri                      = "${aws_ecr_repository.program["renderer"].repository_url}:${var.image_tag}"
  architectures                  = ["arm64"]
  memory_size                    = 256
  timeout                        = 5
  reserved_concurrent_executions = var.renderer.concurrency
  kms_key_arn                    = aws_kms_key.main.arn

  environment {
    variables = {
      SOUK_RENDERER_PUBLIC_KEY = var.renderer.public_key
    }
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.renderer[0].name
  }

  depends_on = [aws_iam_role_policy.renderer]
}

resource "aws_cloudwatch_log_group" "renderer" {
  count = var.renderer.enabled ? 1 : 0

  name              = "/aws/lambda/souk-${var.name}-renderer"
  retention_in_days = 30
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_iam_role" "renderer" {
  count = var.renderer.enabled ? 1 : 0

  name               = "souk-${var.name}-renderer"
  assume_role_policy = data.aws_iam_policy_document.assume["lambda"].json
}

# It draws and writes its log.
data "aws_iam_policy_document" "renderer" {
  count = var.renderer.enabled ? 1 : 0

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.renderer[0].arn}:*"]
  }

  statement {
    sid       = "Settings"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.main.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["lambda.${var.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "renderer" {
  count = var.renderer.enabled ? 1 : 0

  name   = "renderer"
  role   = aws_iam_role.renderer[0].id
  policy = data.aws_iam_policy_document.renderer[0].json
}

# Lambda fetches the image itself.
data "aws_iam_policy_document" "renderer_image" {
  statement {
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_ecr_repository_policy" "renderer" {
  count = var.renderer.enabled ? 1 : 0

  repository = aws_ecr_repository.program["renderer"].name
  policy     = data.aws_iam_policy_document.renderer_image.json
}

resource "aws_lambda_function_url" "renderer" {
  count = var.renderer.enabled ? 1 : 0

  function_name      = aws_lambda_function.renderer[0].function_name
  authorization_type = "AWS_IAM"
}

resource "aws_cloudfront_origin_access_control" "renderer" {
  count = var.renderer.enabled ? 1 : 0

  name                              = "souk-${var.name}-renderer"
  origin_access_control_origin_type = "lambda"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# A function URL asks for both.
resource "aws_lambda_permission" "renderer" {
  for_each = var.renderer.enabled ? toset(["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"]) : toset([])

  action        = each.value
  function_name = aws_lambda_function.renderer[0].function_name
  principal     = "cloudfront.amazonaws.com"
  source_arn    = aws_cloudfront_distribution.main.arn
}
