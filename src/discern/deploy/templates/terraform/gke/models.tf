# The model server's service account, and no other, may read the bucket of models; nobody may
# write. Without var.model_bucket there is nothing here.
data "google_project" "this" {}

locals {
  pool = "projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${var.project}.svc.id.goog"
}

resource "google_storage_bucket_iam_member" "models" {
  count = var.model_bucket == "" ? 0 : 1

  bucket = var.model_bucket
  role   = "roles/storage.objectViewer"
  member = "principal://iam.googleapis.com/${local.pool}/subject/ns/{= namespace =}/sa/{= service_account =}"

  depends_on = [google_container_cluster.this] # which makes the pool
}
