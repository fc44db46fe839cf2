"""The versions that images are built of: those discern is running with here, for Linux."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from discern.errors import ConfigError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

SERVING = ("discern[serve]",)
LAMBDA = (*SERVING, "awslambdaric")  # and Lambda's own runtime client

# What markers are asked about; the rest, such as Python's version, is this interpreter's own.
_LINUX = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"}

_HEADER = """\
# Everything in the images but discern itself, in the versions that discern ran with when
# these files were rendered. To take newer ones: upgrade them there and render again.
"""


def constraints(roots: Sequence[str] = SERVING) -> str:
    """The text of a constraints.txt: a line for all that `roots` need, directly or not.

    ConfigError names a package that is not installed here, and how to install it.
    """
    pins = pinned(roots)
    lines = [f"{name}=={version}\n" for name, version in sorted(pins.items()) if name != "discern"]
    return _HEADER + "".join(lines)


def pinned(roots: Sequence[str] = SERVING) -> Mapping[str, str]:
    """Normalised name → version of the transitive closure of `roots` on Linux."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
    from packaging.version import Version

    waiting = [Requirement(root) for root in roots]
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        installed = _installed(name, roots)
        found[name] = Version(installed.version).public  # an index knows no "+local" builds
        waiting.extend(_requirements(installed, extras))
    return found


def _installed(name: str, roots: Iterable[str]) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as exc:
        wanted = " ".join(f"'{root}'" for root in roots)
        raise ConfigError(
            f"{name} is not installed here, so there is no version to pin for the images. "
            f"Install what they run first (on Linux or macOS): pip install {wanted}"
        ) from exc


def _requirements(installed: Distribution, extras: frozenset[str]) -> Iterator["Requirement"]:
    """What this distribution, with these extras, asks for on Linux."""
    from packaging.requirements import Requirement

    for text in installed.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**_LINUX, "extra": extra}) for extra in extras | {""}
        ):
            yield requirement
