variable "project" {
  description = "The id of the Google Cloud project."
  type        = string
{% if project %}
  default     = "{= project =}"
{% endif %}

  validation {
    condition     = can(regex("^[a-z][-a-z0-9]{4,28}[a-z0-9]$", var.project))
    error_message = "The project's id, not its name or number."
  }
}

variable "name" {
  description = "Of the cluster, and the beginning of everything else's name."
  type        = string
  default     = "{= name =}"

  validation {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$", var.name))
    error_message = "Small letters, digits and hyphens, at most 40, beginning with a letter."
  }
}

variable "region" {
  description = "The region; pods are spread over its zones."
  type        = string
  default     = "{= region =}"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region such as europe-west3, not a zone."
  }
}

variable "api_cidrs" {
  description = "Who may reach the cluster's API over the internet, by name; none: nobody."
  type        = map(string)
  default     = { everybody = "0.0.0.0/0" }

  validation {
    condition     = alltrue([for cidr in values(var.api_cidrs) : can(cidrnetmask(cidr))])
    error_message = "IPv4 ranges by name, such as { office = \"203.0.113.0/24\" }."
  }
}

variable "model_bucket" {
  description = "A bucket that the model server's pods may read models from; empty: none."
  type        = string
  default     = "{= bucket =}"

  validation {
    condition     = var.model_bucket == "" || can(regex("^[a-z0-9][-._a-z0-9]{1,61}[a-z0-9]$", var.model_bucket))
    error_message = "The bucket's name alone, without gs://."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the cluster: set to false and apply, then destroy."
  type        = bool
  default     = true
}
