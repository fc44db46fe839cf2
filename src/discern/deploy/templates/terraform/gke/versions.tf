terraform {
  required_version = ">= 1.9, < 2.0"

  required_providers {
    google = {
      source = "hashicorp/google"
      # The exact version stands in .terraform.lock.hcl once `terraform init` has run: keep that
      # file in git.
      version = "~> 7.0"
    }
  }

  # State holds everything that is known about the cluster, and two people must not change it at
  # once. Make the bucket once, then take the comment away and run `terraform init` again.
  #
  # backend "gcs" {
  #   bucket = "example-terraform-state"
  #   prefix = "{= name =}/gke"
  # }
}

provider "google" {
  project = var.project
  region  = var.region

  default_labels = {
    project    = var.name
    managed-by = "terraform"
  }
}
