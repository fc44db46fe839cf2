"""The versions that images are built of are those installed here, all of them and no others."""

from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from discern.deploy.pins import LAMBDA, SERVING, constraints, pinned
from discern.errors import ConfigError


def distributed(site: Path, name: str, number: str, *requires: str) -> None:
    """Metadata as pip leaves it, of a package that is not there."""
    folder = site / f"{name}-{number}.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {number}"]
    lines += [f"Requires-Dist: {text}" for text in requires]
    (folder / "METADATA").write_text("\n".join(lines))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are installed in, beside this environment's own."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def linux_requirements(name: str) -> list[Requirement]:
    """What a package asks for on Linux, without its extras."""
    every = [Requirement(text) for text in distribution(name).requires or ()]
    where = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}
    return [one for one in every if one.marker is None or one.marker.evaluate(where)]


@pytest.mark.parametrize("roots", [SERVING, LAMBDA])
def test_everything_that_a_pinned_package_needs_is_pinned_too_and_suits_it(
    roots: tuple[str, ...],
) -> None:
    pins = pinned(roots)
    needs = [need for name in pins for need in linux_requirements(name)]
    assert needs
    for need in needs:
        assert need.specifier.contains(pins[canonicalize_name(need.name)], prereleases=True)


def test_versions_are_those_installed_here() -> None:
    pins = pinned()
    assert {"numpy", "onnxruntime", "fastapi", "uvicorn", "grpcio", "pillow"} <= pins.keys()
    assert all(version(name).split("+")[0] == number for name, number in pins.items())


def test_nothing_is_pinned_that_servers_do_not_need() -> None:
    assert not {"torch", "timm", "scikit-learn", "jinja2", "pytest", "pip"} & pinned(LAMBDA).keys()
    assert pinned(LAMBDA).keys() - pinned(SERVING).keys() >= {"awslambdaric"}


def test_every_line_of_the_constraints_is_one_exact_version() -> None:
    lines = [line for line in constraints().splitlines() if not line.startswith("#")]
    pins = [Requirement(line) for line in lines]
    assert [pin.name for pin in pins] == sorted(pin.name for pin in pins)
    assert all([part.operator for part in pin.specifier] == ["=="] for pin in pins)
    assert "discern" not in {pin.name for pin in pins}  # the Dockerfile names it itself


def test_markers_are_those_of_linux_and_extras_count_where_they_are_asked_for(site: Path) -> None:
    distributed(
        site,
        "root",
        "1.0",
        "penguin; sys_platform == 'linux'",
        "pane; sys_platform == 'win32'",
        "plain[fast]",
        "spare; extra == 'more'",
    )
    distributed(site, "penguin", "2.0")
    distributed(site, "plain", "3.0+cpu", "wheel-of-cheese; extra == 'fast'", "root")
    distributed(site, "wheel_of_cheese", "4.0")
    assert pinned(["root"]) == {
        "root": "1.0",
        "penguin": "2.0",
        "plain": "3.0",  # no index has "+cpu"
        "wheel-of-cheese": "4.0",
    }


def test_what_is_missing_is_named_with_how_to_get_it(site: Path) -> None:
    distributed(site, "root", "1.0", "never-installed>=2")
    with pytest.raises(ConfigError, match=r"never-installed .*pip install 'root'"):
        constraints(["root"])
