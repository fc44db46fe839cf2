resource "google_artifact_registry_repository" "images" {
  location      = var.region
  repository_id = "{= artifacts =}"
  description   = "Images of ${var.name}"
  format        = "DOCKER"

  docker_config {
    immutable_tags = true # a tag names one model in one discern, for good
  }

  depends_on = [google_project_service.apis]
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}
