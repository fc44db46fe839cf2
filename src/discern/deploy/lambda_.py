"""A Lambda function behind an HTTP API, as a SAM template."""

import base64
import math
from pathlib import Path

from discern.deploy.footprint import Footprint
from discern.deploy.images import image_files
from discern.deploy.rendering import Files, rendered
from discern.deploy.subject import Subject
from discern.deploy.terraform import lambda_terraform
from discern.errors import ConfigError

ONE_CPU_MB = 1769  # from here on a function has a whole processor
MOST_MB = 10240
SERVER_MB = 64  # what the API takes beside the model
SPARE = 1.5  # for what requests hold: six megabytes of JSON, the picture in it, its pixels
DOLLARS_A_GIGABYTE_SECOND = 0.0000166667  # x86_64, us-east-1, November 2025


def lambda_files(subject: Subject, wheel: Path | None = None) -> Files:
    """The template, example events, and the image's Dockerfile with the model folder.

    ConfigError where the model needs more memory than a function can have.
    """
    example, memory = subject.model.references[0], memory_mb(subject.footprint)
    gigabyte_seconds = memory / 1024 * subject.footprint.picture_ms / 1000
    values = {
        "name": subject.name,
        "image": subject.image("lambda"),
        "tag": subject.tag,
        "registry": subject.registry,
        "model": f"/{subject.repository}",
        "memory": memory,
        "one_cpu": ONE_CPU_MB,
        "footprint": subject.footprint,
        "time_cost": 1_000_000 * gigabyte_seconds * DOLLARS_A_GIGABYTE_SECOND,
        "picture": base64.b64encode(example.data).decode(),
        "picture_name": example.name,
    }
    images = image_files(subject, ("lambda",), wheel)
    return {**images, **rendered("lambda", **values), **lambda_terraform(subject, memory)}


def memory_mb(footprint: Footprint) -> int:
    """How much memory the function gets, and with it processor; ConfigError beyond Lambda's most.

    Below a whole processor nothing is saved: half of it takes twice as long, for the same price.
    """
    needed = math.ceil(SPARE * (footprint.memory_mib + SERVER_MB))
    if needed > MOST_MB:
        raise ConfigError(
            f"The model took {footprint.memory_mib} MiB and would need {needed} MB in a function; "
            f"Lambda has {MOST_MB} at most. Use another target: discern deploy compose --help"
        )
    return max(ONE_CPU_MB, needed)
