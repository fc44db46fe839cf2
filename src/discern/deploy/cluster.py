"""What EKS and GKE share: the Kubernetes target in one overlay, scripts, Terraform, a README."""

from pathlib import Path

from discern.deploy.kubernetes import kubernetes_files
from discern.deploy.rendering import README, Files, rendered
from discern.deploy.subject import Subject
from discern.deploy.terraform import terraform_files

_IMAGES = ("gateway", "model-server")
_MANIFESTS_README = "KUBERNETES.md"


def cluster_files(
    cloud: str, subject: Subject, bucket: str, wheel: Path | None, **place: str
) -> Files:
    """The files of one cloud, "eks" or "gke".

    `bucket` is where models come from, or "" for models in images; `place` is where the cloud has
    its things: region, registry and the like, as its templates ask for them.
    """
    manifests = _manifests(cloud, subject, bucket, wheel)
    values = {
        "name": subject.name,
        "namespace": subject.name,
        "service_account": f"{subject.name}-model-server",
        "overlay": f"overlays/{cloud}",
        "registry": subject.registry.rstrip("/"),
        "registry_prefix": subject.registry,
        "tag": subject.tag,
        "images": _IMAGES,
        "bucket": bucket,
        "reference": subject.reference,
        "object_path": f"{subject.name}/{subject.tag}",
        "repository": subject.repository,
        **place,
    }
    return {**manifests, **rendered(cloud, **values), **terraform_files(cloud, **values)}


def _manifests(cloud: str, subject: Subject, bucket: str, wheel: Path | None) -> Files:
    """The Kubernetes target; its README is not the first here."""
    source, buckets = ("object-store", {cloud: bucket}) if bucket else ("image", {})
    files = kubernetes_files(subject, model_from=source, wheel=wheel, buckets=buckets)
    return {**files, _MANIFESTS_README: files[README]}
