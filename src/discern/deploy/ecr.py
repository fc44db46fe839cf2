"""Amazon's registry of images: its name says which region is meant."""

import re
from typing import NamedTuple

REGION = "eu-central-1"  # where nothing else is said
_ECR = re.compile(r"\d{12}\.dkr\.ecr\.([-a-z0-9]+)\.amazonaws\.com/(.*)")


class Ecr(NamedTuple):
    """A region, and what its repositories' names begin with: "team/", or nothing."""

    region: str
    prefix: str


def read_ecr(registry: str) -> Ecr | None:
    """What a registry such as "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/" says.

    That of no registry is the region that we take; None for a registry that is not ECR.
    """
    if not registry:
        return Ecr(REGION, "")
    match = _ECR.fullmatch(registry)
    return Ecr(*match.groups()) if match else None
