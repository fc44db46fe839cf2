output "cluster" {
  description = "The cluster's name, for gcloud container clusters get-credentials."
  value       = google_container_cluster.this.name
}

output "region" {
  description = "Where it runs."
  value       = var.region
}

output "endpoint" {
  description = "Its API's address."
  value       = google_container_cluster.this.endpoint
}

output "registry" {
  description = "Where images are pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
