# The roles of pods, each for one service account, by EKS Pod Identity. The shop's own services
# have none, because they call nothing of AWS: they know their stores by password and TLS.

locals {
  pods = {
    vpc-cni = { namespace = "kube-system", account = "aws-node" }
    ebs-csi = { namespace = "kube-system", account = "ebs-csi-controller-sa" }
    backup  = { namespace = var.namespace, account = "souk-backup" }
  }
}

resource "aws_iam_role" "pod" {
  for_each = local.pods

  name               = "souk-${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.pod[each.key].json
}

# Pod Identity says for which cluster, namespace and service account it asks.
data "aws_iam_policy_document" "pod" {
  for_each = local.pods

  statement {
    actions = ["sts:AssumeRole", "sts:TagSession"]

    principals {
      type        = "Service"
      identifiers = ["pods.eks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/eks-cluster-name"
      values   = ["souk-${var.name}"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kubernetes-namespace"
      values   = [each.value.namespace]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/kubernetes-service-account"
      values   = [each.value.account]
    }
  }
}

# What AWS's own addons need is AWS's to say.
resource "aws_iam_role_policy_attachment" "pod" {
  for_each = {
    vpc-cni = "AmazonEKS_CNI_Policy"
    ebs-csi = "service-role/AmazonEBSCSIDriverPolicy"
  }

  role       = aws_iam_role.pod[each.key].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.value}"
}

resource "aws_eks_pod_identity_association" "backup" {
  cluster_name    = aws_eks_cluster.main.name
  namespace       = local.pods.backup.namespace
  service_account = local.pods.backup.account
  role_arn        = aws_iam_role.pod["backup"].arn
}

resource "aws_iam_role_policy" "backup" {
  name   = "backup"
  role   = aws_iam_role.pod["backup"].id
  policy = data.aws_iam_policy_document.backup.json
}

# It writes and reads backups and deletes old ones, of which the versions stay: it may delete no
# version, so that who takes over the job cannot destroy what there is.
data "aws_iam_policy_document" "backup" {
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.backups.arn]
  }

  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.backups.arn}/*"]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [aws_kms_key.main.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}
