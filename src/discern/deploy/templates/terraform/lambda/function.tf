data "aws_caller_identity" "current" {}

resource "aws_ecr_repository" "image" {
  name                 = "{= repository_prefix =}${var.name}-lambda"
  image_tag_mutability = "IMMUTABLE" # a tag names one model in one discern, for good

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "image" {
  repository = aws_ecr_repository.image.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last ten, to roll back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}

# This function, and no other of the account, may be made of the image.
data "aws_iam_policy_document" "pull" {
  statement {
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "aws:sourceArn"
      values   = ["arn:aws:lambda:${var.region}:${data.aws_caller_identity.current.account_id}:function:${var.name}"]
    }
  }
}

resource "aws_ecr_repository_policy" "pull" {
  repository = aws_ecr_repository.image.name
  policy     = data.aws_iam_policy_document.pull.json
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

# All the function may do in the account is write its own log.
data "aws_iam_policy_document" "log" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.function.arn}:*"]
  }
}

resource "aws_iam_role" "function" {
  name               = "${var.name}-lambda"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "log" {
  name   = "write-log"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.log.json
}

# Made here, and not by Lambda at its first line, so that it has an end.
resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_function" "this" {
  function_name                  = var.name
  role                           = aws_iam_role.function.arn
  package_type                   = "Image"
  image_uri                      = "${aws_ecr_repository.image.repository_url}:${var.image_tag}"
  architectures                  = ["x86_64"]
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.concurrency

  environment {
    variables = var.api_keys == "" ? {} : { DISCERN_API_KEYS = var.api_keys }
  }

  depends_on = [
    aws_cloudwatch_log_group.function,
    aws_ecr_repository_policy.pull,
    aws_iam_role_policy.log,
  ]
}
