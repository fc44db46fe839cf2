variable "name" {
  description = "Of the function, and the beginning of everything else's name."
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

variable "image_tag" {
  description = "Which of the images in the repository runs."
  type        = string
  default     = "{= tag =}"
}

variable "memory_mb" {
  description = "Memory; processor time comes with it, one core at 1769."
  type        = number
  default     = {= memory_mb =}

  validation {
    condition     = var.memory_mb >= 512 && var.memory_mb <= 10240
    error_message = "From 512 to 10240."
  }
}

variable "timeout_seconds" {
  description = "How long a call may take; API Gateway gives up after 30."
  type        = number
  default     = 29

  validation {
    condition     = var.timeout_seconds >= 3 && var.timeout_seconds <= 29
    error_message = "From 3 to 29."
  }
}

variable "concurrency" {
  description = "How many calls run at once, at most: the bill's upper end. More get a 429."
  type        = number
  default     = 10

  validation {
    condition     = var.concurrency >= 1 && floor(var.concurrency) == var.concurrency
    error_message = "A whole number from 1."
  }
}

variable "requests_per_second" {
  description = "What the API lets through; bursts of twice as many."
  type        = number
  default     = 20

  validation {
    condition     = var.requests_per_second >= 1
    error_message = "At least 1."
  }
}

variable "api_keys" {
  description = "Lines of discern api-key, with commas between: hashes. Empty: anybody may ask, and you pay."
  type        = string
  default     = ""
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "One of 7, 14, 30, 60, 90, 180, 365."
  }
}

variable "alarm_email" {
  description = "Who is told of alarms, after saying yes to a first mail; empty: nobody."
  type        = string
  default     = ""

  validation {
    condition     = var.alarm_email == "" || strcontains(var.alarm_email, "@")
    error_message = "A mail address."
  }
}
