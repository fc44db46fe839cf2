"""Amazon's EKS: the Kubernetes target with a cluster, scripts, and the same in Terraform."""

from pathlib import Path

from discern.deploy.cluster import cluster_files
from discern.deploy.ecr import read_ecr
from discern.deploy.rendering import Files
from discern.deploy.subject import Subject
from discern.errors import ConfigError


def eks_files(subject: Subject, bucket: str = "", wheel: Path | None = None) -> Files:
    """Everything that `deploy.sh` needs; `bucket` (S3) is where models come from, if not images.

    The region is that of the subject's registry. Without one, images go to the ECR of the account
    that is logged in. ConfigError for a registry that is not ECR.
    """
    registry = read_ecr(subject.registry)
    if registry is None:
        raise ConfigError(
            f"--registry {subject.registry.rstrip('/')}: is not ECR, which names account and "
            "region.\nGive one such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/team; "
            "for any other registry take discern deploy kubernetes."
        )
    place = {"region": registry.region, "repository_prefix": registry.prefix}
    return cluster_files("eks", subject, bucket, wheel, **place)
