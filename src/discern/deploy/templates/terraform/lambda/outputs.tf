output "url" {
  description = "Where pictures are posted to."
  value       = "${aws_apigatewayv2_api.this.api_endpoint}/predict"
}

output "repository" {
  description = "Where the image is pushed to."
  value       = aws_ecr_repository.image.repository_url
}

output "function" {
  description = "The function's name, for aws lambda invoke."
  value       = aws_lambda_function.this.function_name
}

output "alarms" {
  description = "The topic that alarms are sent to."
  value       = aws_sns_topic.alarms.arn
}
