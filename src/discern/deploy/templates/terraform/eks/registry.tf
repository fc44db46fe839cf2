resource "aws_ecr_repository" "images" {
  for_each = toset([{% for image in images %}"{= repository_prefix =}{= name =}-{= image =}"{= "" if loop.last else ", " =}{% endfor %}])

  name                 = each.value
  image_tag_mutability = "IMMUTABLE" # a tag names one model in one discern, for good

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "images" {
  for_each = aws_ecr_repository.images

  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last ten, to roll back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}
