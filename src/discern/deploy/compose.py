"""Docker Compose: a gateway and model servers on one machine, and what watches them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discern.deploy.footprint import rounded_mib
from discern.deploy.images import image_files
from discern.deploy.monitoring import monitoring_files
from discern.deploy.rendering import Files, rendered
from discern.deploy.subject import Subject
from discern.deploy.tiers import TIERS, Tier
from discern.errors import ConfigError

GATEWAY_MIB = 1024  # 403 at most were measured, with pictures of 49 megapixels on two cores

SERVERS_MIB = 110  # the gateway and the model server beside the model, at rest
HIDDEN = {"gitignore": ".gitignore", "env.example": ".env.example"}  # templates that tools skip


@dataclass(frozen=True)
class Container:
    """How a foreign server's image is run here."""

    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None  # where its image would run as root


def _container(tier: Tier, model: str) -> Container:
    """The container of a tier for a model of this name; discern's own image says it all."""
    containers = {
        "triton": Container(("tritonserver", "--model-repository=/models"), user="1000:1000"),
        "ovms": Container(
            (
                f"--model_name={model}",
                f"--model_path=/models/{model}",
                f"--port={tier.grpc_port}",
            )
        ),
        "tf-serving": Container(environment={"MODEL_NAME": model}, user="10001:10001"),
    }
    return containers.get(tier.name, Container())


def compose_files(
    subject: Subject, tier: str = "discern", monitoring: bool = False, wheel: Path | None = None
) -> Files:
    """A folder for `docker compose`; ConfigError for a tier that is not known."""
    behind = _known(tier)
    values = _values(subject, behind, monitoring)
    kinds = ("gateway",) if behind.is_foreign else ("gateway", "model-server")
    images = image_files(subject, kinds, wheel, gateway_has_model=behind.is_foreign)
    watching = _watching(subject, values) if monitoring else {}
    own = {HIDDEN.get(name, name): text for name, text in rendered("compose", **values).items()}
    return {**images, **own, **watching}


def _known(name: str) -> Tier:
    here = {tier.name: tier for tier in TIERS.values() if not tier.is_kserve}
    if name not in here:
        raise ConfigError(f"--tier {name!r} is unknown. Tiers: {', '.join(here)}.")
    return here[name]


def _watching(subject: Subject, values: Mapping[str, Any]) -> Files:
    """Prometheus' and Grafana's own settings beside the alerts and the board."""
    settings = rendered("monitoring/compose", **values)
    own = {f"monitoring/{name}": text for name, text in settings.items()}
    return {**monitoring_files(subject), **own}


def _values(subject: Subject, tier: Tier, monitoring: bool) -> Mapping[str, Any]:
    """What the templates say about the model, and about what is rendered of them."""
    took = subject.footprint
    return {
        "name": subject.name,
        "registry": subject.registry,
        "repository": subject.repository,
        "reference": subject.reference,
        "python": subject.python,
        "gateway": subject.image("gateway"),
        "model_server": subject.image("model-server"),
        "tier": tier,
        "container": _container(tier, subject.name),
        "monitoring": monitoring,
        "memory_mib": took.memory_mib,
        "start_seconds": took.start_seconds,
        "picture_ms": took.picture_ms,
        "resting_mib": SERVERS_MIB + took.memory_mib,
        "start_period": max(30, math.ceil(10 * took.start_seconds)),
        "gateway_mib": GATEWAY_MIB,
        "model_server_mib": rounded_mib(2 * took.memory_mib + 256),
        "foreign_mib": rounded_mib(4 * took.memory_mib + 1024),
    }
