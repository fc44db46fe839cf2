"""Kubernetes: a Kustomize base and overlays for kind, Amazon's EKS and Google's GKE."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from discern.deploy.footprint import rounded_mib
from discern.deploy.images import image_files
from discern.deploy.monitoring import BOARD, RULES, monitoring_files
from discern.deploy.rendering import Files, rendered
from discern.deploy.subject import Subject
from discern.deploy.tiers import TIERS, Tier
from discern.errors import ConfigError
from discern.model.facts import fact_reader
from discern.model.folder import sha256_of

OVERLAYS: Final = ("kind", "eks", "gke")
SOURCES: Final = ("image", "volume", "object-store")
_BOARD_HERE = "components/monitoring/dashboard.json"
_PROBE_SECONDS = 2  # between two looks whether a model server has started


def kubernetes_files(
    subject: Subject,
    tier: str = "discern",
    model_from: str = "image",
    gpu: bool = False,
    wheel: Path | None = None,
    buckets: Mapping[str, str] = {},
) -> Files:
    """A folder for `kubectl apply --kustomize overlays/…`, and what its images are built from.

    `buckets` are names by overlay, for models from an object store; what is not named is left to
    be filled in.
    ConfigError for a tier or a source of models that is not known, and for a tier that does not
    run on GPUs where `gpu` is given.
    """
    behind = _known("--tier", tier, TIERS)
    _known("--model-from", model_from, dict.fromkeys(SOURCES))
    values = {**_values(subject, behind, model_from, gpu), "buckets": buckets}
    monitoring = monitoring_files(subject)
    files = rendered("kubernetes/files", **values, alerts=str(monitoring[RULES]).rstrip())
    needed = {name: text for name, text in files.items() if text.strip()}
    return {
        **image_files(subject, _images(behind), wheel, gateway_has_model=behind.is_foreign),
        **needed,
        _BOARD_HERE: monitoring[BOARD],
    }


def _known(option: str, name: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise ConfigError(f"{option} {name!r} is unknown. There are: {', '.join(known)}.")
    return known[name]


def _images(tier: Tier) -> tuple[str, ...]:
    return ("gateway",) if tier.is_foreign else ("gateway", tier.kind)


def _values(subject: Subject, tier: Tier, model_from: str, gpu: bool) -> Mapping[str, Any]:
    """What the templates ask for."""
    return {
        **_what(subject, tier),
        **_where(subject, tier, model_from, gpu),
        **_how_much(subject, tier),
        **_queue(tier, subject.footprint.picture_ms),
    }


def _what(subject: Subject, tier: Tier) -> Mapping[str, Any]:
    """The model and its server."""
    info = subject.model.info
    facts = fact_reader(info)
    return {
        "name": subject.name,
        "tier": tier,
        "repository": subject.repository,
        "reference": subject.reference,
        "digests": _digests(subject.model.path),
        "height": info.preprocess.height,
        "width": info.preprocess.width,
        "classes": len(info.labels),
        "metadata_size": facts.spec.size if facts else 0,
        "has_settings": not tier.is_foreign or tier.name == "tf-serving",
        "model_selector": _selector(subject.name, tier),
    }


def _where(subject: Subject, tier: Tier, model_from: str, gpu: bool) -> Mapping[str, Any]:
    """Images, and where models come from."""
    own = f"{subject.name}-{tier.kind}"
    baked = not tier.is_foreign or model_from == "image"
    public = tier.public_image(gpu)
    return {
        "model_from": model_from,
        "gpu": gpu,
        "tag": subject.tag,
        "registry": subject.registry,
        "gateway_image": f"{subject.name}-gateway:{subject.tag}",
        "model_image": f"{own}:{subject.tag}" if baked else public,
        "is_built": baked,
        "public_image": public,
        "registered_gateway_image": subject.image("gateway"),
        "registered_model_image": subject.image(tier.kind),
        "image_name": lambda kind: subject.image(kind).rpartition(":")[0],
        # A foreign server gets the folder of versions, since an export has files beside them.
        "model_folder": f"/models/{subject.name}" + ("" if tier.is_foreign else "/1"),
        "object_path": f"{subject.name}/{subject.tag}",
    }


def _how_much(subject: Subject, tier: Tier) -> Mapping[str, Any]:
    """Memory, disks and patience, from what was measured."""
    took = subject.footprint
    folder = _mebibytes(subject.model.path)
    return {
        "footprint": took,
        "picture_ms": round(took.picture_ms),
        "start_seconds": f"{took.start_seconds:.1f}",
        "start_tries": max(30, math.ceil(10 * took.start_seconds / _PROBE_SECONDS)),
        "memory_mib": rounded_mib(2 * took.memory_mib + tier.extra_mib),
        "model_mib": rounded_mib(4 * folder),  # other forms of it may be larger
        "volume_gib": max(1, math.ceil(20 * folder / 1024)),  # for its versions
    }


def _queue(tier: Tier, picture_ms: float) -> Mapping[str, Any]:
    """How long pictures wait, as prometheus-adapter and the autoscaler call it."""
    total, _, count = tier.queue.partition(" ")
    return {
        "queue_metric": "queue_seconds_mean",
        "queue_sum": total,
        "queue_count": count,
        "queue_scale": 1_000_000 if total.endswith("_us") else 1,
        "queue_ms": max(20, 10 * math.ceil(2 * picture_ms / 10)),
    }


def _selector(name: str, tier: Tier) -> str:
    """The labels of the model tier's pods, in YAML."""
    if tier.is_kserve:  # KServe's own
        return f"serving.kserve.io/inferenceservice: {name}\ncomponent: predictor"
    return f"app.kubernetes.io/name: {name}\napp.kubernetes.io/component: model-server"


def _digests(folder: Path) -> Mapping[str, str]:
    """SHA-256 of every file below a folder, by its name relative to it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def _mebibytes(folder: Path) -> int:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return math.ceil(size / 1024**2)
