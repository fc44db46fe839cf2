# The model server's pods, and no others, may read the bucket of models; nobody may write.
# Without var.model_bucket there is nothing here.
locals {
  reads_bucket = var.model_bucket == "" ? 0 : 1
}

data "aws_iam_policy_document" "pod_assume" {
  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "models" {
  statement {
    actions   = ["s3:ListBucket"]
    resources = ["arn:aws:s3:::${var.model_bucket}"]
  }

  statement {
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::${var.model_bucket}/*"]
  }
}

resource "aws_iam_role" "models" {
  count = local.reads_bucket

  name               = "${var.name}-model-reader"
  assume_role_policy = data.aws_iam_policy_document.pod_assume.json
}

resource "aws_iam_role_policy" "models" {
  count = local.reads_bucket

  name   = "read-models"
  role   = aws_iam_role.models[0].id
  policy = data.aws_iam_policy_document.models.json
}

resource "aws_eks_pod_identity_association" "models" {
  count = local.reads_bucket

  cluster_name    = aws_eks_cluster.this.name
  namespace       = "{= namespace =}"
  service_account = "{= service_account =}"
  role_arn        = aws_iam_role.models[0].arn
}
