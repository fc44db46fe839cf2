"""Terraform for what runs in a cloud; checked as far as that goes without the providers."""

from discern.deploy.ecr import REGION, Ecr, read_ecr
from discern.deploy.rendering import rendered
from discern.deploy.subject import Subject


def terraform_files(cloud: str, **values: object) -> dict[str, str]:
    """The configuration of one cloud ("eks", "gke" or "lambda"), below `terraform/`."""
    files = rendered(f"terraform/{cloud}", **values)
    return {f"terraform/{name}": text for name, text in files.items()}


def lambda_terraform(subject: Subject, memory_mb: int) -> dict[str, str]:
    """What the SAM template says, for those who keep the rest of their account in Terraform."""
    registry = read_ecr(subject.registry) or Ecr(REGION, "")
    return terraform_files(
        "lambda",
        name=subject.name,
        tag=subject.tag,
        memory_mb=memory_mb,
        region=registry.region,
        repository_prefix=registry.prefix,
    )
