terraform {
  required_version = ">= 1.9, < 2.0"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # The exact version stands in .terraform.lock.hcl once
      # `terraform init` has run: keep that file in git.
      version = "~> 6.0"
    }
  }

  # State holds everything that is known about the function, and two people must not change it at
  # once. Make the bucket once, then take the comment away and run `terraform init` again.
  #
  # backend "s3" {
  #   bucket       = "example-terraform-state"
  #   key          = "{= name =}/lambda.tfstate"
  #   region       = "{= region =}"
  #   encrypt      = true
  #   use_lockfile = true
  # }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      project    = var.name
      managed-by = "terraform"
    }
  }
}
