variable "name" {
  description = "Of the cluster, and the beginning of everything else's name."
  type        = string
  default     = "{= name =}"

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,40}[a-z0-9])?$", var.name))
    error_message = "Small letters, digits and hyphens, at most 42, beginning with a letter."
  }
}

variable "region" {
  description = "The AWS region."
  type        = string
  default     = "{= region =}"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Such as eu-central-1."
  }
}

variable "kubernetes_version" {
  description = "The control plane's and the nodes' Kubernetes, as MAJOR.MINOR."
  type        = string
  default     = "1.33"

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "Such as 1.33."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC; every pod takes one. overlays/eks/from-outside.yaml names them too."
  type        = string
  default     = "192.168.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && endswith(var.vpc_cidr, "/16")
    error_message = "An IPv4 range of size /16, such as 192.168.0.0/16."
  }
}

variable "api_cidrs" {
  description = "Who may reach the cluster's API over the internet; none: only from inside the VPC."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for cidr in var.api_cidrs : can(cidrnetmask(cidr))])
    error_message = "IPv4 ranges such as 203.0.113.0/24."
  }
}

variable "instance_type" {
  description = "Of the nodes, amd64."
  type        = string
  default     = "m7i.large"
}

variable "nodes" {
  description = "How many nodes there are; two, so that one may go."
  type        = number
  default     = 2

  validation {
    condition     = var.nodes >= 1 && var.nodes <= 20 && floor(var.nodes) == var.nodes
    error_message = "A whole number from 1 to 20."
  }
}

variable "model_bucket" {
  description = "A bucket that the model server's pods may read models from; empty: none."
  type        = string
  default     = "{= bucket =}"

  validation {
    condition     = var.model_bucket == "" || can(regex("^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$", var.model_bucket))
    error_message = "The bucket's name alone, without s3://."
  }
}

variable "deletion_protection" {
  description = "Whether the cluster refuses to be deleted: set to false and apply, then destroy."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "How long the control plane's logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "One of 7, 14, 30, 60, 90, 180, 365."
  }
}
