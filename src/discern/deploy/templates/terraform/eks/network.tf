data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, 3)
}

# Nodes in private subnets, load balancers in public ones.
module "vpc" {
  source  = "terraform-aws-modules/vpc/aws"
  version = "6.0.1"

  name = var.name
  cidr = var.vpc_cidr
  azs  = local.zones

  private_subnets = [for i, _ in local.zones : cidrsubnet(var.vpc_cidr, 4, i)]
  public_subnets  = [for i, _ in local.zones : cidrsubnet(var.vpc_cidr, 8, i + 128)]

  # One NAT gateway for all zones: a third of the price of one a zone. When its zone fails, pods
  # cannot fetch pictures from URLs; requests still come in.
  enable_nat_gateway = true
  single_nat_gateway = true

  # Where load balancers are put, by their controllers.
  public_subnet_tags  = { "kubernetes.io/role/elb" = 1 }
  private_subnet_tags = { "kubernetes.io/role/internal-elb" = 1 }
}
