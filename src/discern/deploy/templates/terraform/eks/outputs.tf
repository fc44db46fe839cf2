output "cluster" {
  description = "The cluster's name, for aws eks update-kubeconfig."
  value       = aws_eks_cluster.this.name
}

output "region" {
  description = "Where it runs."
  value       = var.region
}

output "endpoint" {
  description = "Its API's address."
  value       = aws_eks_cluster.this.endpoint
}

output "repositories" {
  description = "Where images are pushed to."
  value       = [for repository in aws_ecr_repository.images : repository.repository_url]
}

output "model_reader_role" {
  description = "The role by which the model server reads its bucket; null where there is none."
  value       = one(aws_iam_role.models[*].arn)
}
