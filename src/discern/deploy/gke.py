"""Google's GKE: the Kubernetes target with a cluster, scripts, and the same in Terraform."""

import re
from pathlib import Path

from discern.deploy.cluster import cluster_files
from discern.deploy.rendering import Files
from discern.deploy.subject import Subject
from discern.errors import ConfigError

_REGION = "europe-west3"
_ARTIFACTS = re.compile(r"([-a-z0-9]+)-docker\.pkg\.dev/([-a-z0-9.:]+)/([-a-z0-9]+)/")


def gke_files(subject: Subject, bucket: str = "", wheel: Path | None = None) -> Files:
    """Everything that `deploy.sh` needs; `bucket` (GCS) is where models come from, if not images.

    Region, project and repository are those of the subject's registry. Without one, images go to
    the project that gcloud is set to. ConfigError for a registry that is not Artifact Registry.
    """
    region, project, artifacts = _REGION, "", subject.name
    if subject.registry:
        match = _ARTIFACTS.fullmatch(subject.registry)
        if match is None:
            raise ConfigError(
                f"--registry {subject.registry.rstrip('/')}: is not Artifact Registry, which names "
                "region, project and repository.\n"
                "Give one such as europe-west3-docker.pkg.dev/my-project/team; "
                "for any other registry take discern deploy kubernetes."
            )
        region, project, artifacts = match.groups()
    values = {"region": region, "project": project, "artifacts": artifacts}
    return cluster_files("gke", subject, bucket, wheel, **values)
