"""What is rendered for images: complete, pinned, without rights; built where that can be."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer

import discern
from discern.cli import app
from discern.cli.deploy import images as command
from discern.deploy.footprint import Footprint
from discern.deploy.images import KINDS, WITH_VOLUME, image_files, volume_image_files
from discern.deploy.rendering import Files, write
from discern.deploy.subject import Subject
from discern.errors import ConfigError
from discern.model import load

BASE = os.environ.get("DISCERN_IMAGE_TESTS")


@pytest.fixture
def subject(model_folder: Path) -> Subject:
    return Subject("clothes", load(model_folder), "0.1.0-abcdef12", Footprint(100, 1.0, 5.0))


@pytest.fixture
def context(subject: Subject, tmp_path: Path) -> Path:
    """The folder that all kinds are built from."""
    write(image_files(subject, KINDS, sbom=True), tmp_path / "context")
    return tmp_path / "context"


def instructions(dockerfile: str) -> list[str]:
    """Its lines without comments, continued ones joined."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


def of(files: Files, kind: str) -> list[str]:
    return instructions(str(files[f"images/{kind}/Dockerfile"]))


def argument(lines: list[str], name: str) -> str:
    return next(line.removeprefix(name).strip() for line in lines if line.startswith(f"{name} "))


@pytest.mark.parametrize("kind", [*KINDS, "sbom"])
def test_what_is_copied_is_there_and_sent_to_the_builder(context: Path, kind: str) -> None:
    lines = instructions((context / f"images/{kind}/Dockerfile").read_text())
    sent = {
        line[1:] for line in (context / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copies = [shlex.split(line)[1:-1] for line in lines if line.startswith("COPY ")]
    sources = [
        word
        for words in copies
        if not any(word.startswith("--from") for word in words)
        for word in words
        if not word.startswith("--")
    ]
    assert sources
    for source in sources:
        assert (context / source).exists(), source
        assert source.split("/")[0] in sent or source in sent, source


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_runs_as_a_number_on_a_base_that_is_an_argument(
    subject: Subject, kind: str
) -> None:
    lines = of(image_files(subject, [kind]), kind)
    last = max(i for i, line in enumerate(lines) if line.startswith("FROM "))
    users = [line for line in lines[last:] if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    assert all("${PYTHON_IMAGE}" in line for line in lines if line.startswith("FROM "))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert argument(lines, "ARG") == f"PYTHON_IMAGE=python:{python}-slim"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_floats(subject: Subject, kind: str) -> None:
    files = image_files(subject, [kind])
    text = "\n".join(of(files, kind))
    assert "latest" not in text
    assert f"'discern[serve]=={discern.__version__}'" in text
    assert "--constraint /build/constraints.txt" in text
    assert not re.search(r"\b(torch|timm)\b", text + str(files["constraints.txt"]))


@pytest.mark.parametrize("kind", WITH_VOLUME)
@pytest.mark.parametrize("baked", [True, False])
def test_the_command_is_one_that_discern_takes(subject: Subject, kind: str, baked: bool) -> None:
    files = image_files(subject, [kind]) if baked else volume_image_files([kind])
    program, name, *words = json.loads(argument(of(files, kind), "CMD"))
    assert program == "discern"
    group = typer.main.get_group(app)
    parsed = group.commands[name].make_context(name, words)
    assert parsed.params["host"] == "0.0.0.0"


def test_lambdas_command_is_its_own_runtime_clients(subject: Subject) -> None:
    lines = of(image_files(subject, ["lambda"]), "lambda")
    assert json.loads(argument(lines, "ENTRYPOINT")) == ["python", "-m", "awslambdaric"]
    assert json.loads(argument(lines, "CMD")) == ["discern.serving.lambda_function.handler"]
    assert "DISCERN_MODEL=/models/clothes/1" in argument(lines, "ENV")


def test_the_model_is_in_the_gateway_only_where_its_upstream_knows_no_labels(
    subject: Subject,
) -> None:
    without = image_files(subject, ["gateway"])
    assert not [name for name in without if name.startswith("models/")]
    assert "/models" not in "\n".join(of(without, "gateway"))
    with_model = image_files(subject, ["gateway"], gateway_has_model=True)
    assert "models/clothes/1/model.onnx" in with_model
    words = json.loads(argument(of(with_model, "gateway"), "CMD"))
    assert words[words.index("--model") + 1] == "/models/clothes/1"


def test_images_for_any_model_hold_none_and_expect_it_at_the_volume() -> None:
    files = volume_image_files()
    assert not [name for name in files if name.startswith("models/")]
    assert not [line for line in of(files, "all-in-one") if line.startswith("COPY models")]
    assert "/models/model/1" in json.loads(argument(of(files, "all-in-one"), "CMD"))
    assert ":/models/model/1:ro" in str(files["images/README.md"])


@pytest.mark.parametrize("kind", WITH_VOLUME)
def test_the_health_check_asks_a_port_that_is_exposed(subject: Subject, kind: str) -> None:
    lines = of(image_files(subject, [kind]), kind)
    port = re.search(r"127\.0\.0\.1', (\d+)", argument(lines, "HEALTHCHECK"))
    assert port is not None
    assert port[1] in argument(lines, "EXPOSE").split()


@pytest.fixture
def health(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server whose /readyz answers with the parameter."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_message: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("health", "code"), [(200, 0), (503, 1)], indirect=["health"])
def test_the_health_check_passes_when_ready_and_only_then(
    subject: Subject, health: int, code: int
) -> None:
    line = argument(of(image_files(subject, ["all-in-one"]), "all-in-one"), "HEALTHCHECK")
    _python, flag, program = json.loads(line[line.index("[") :])
    program = program.replace("8000", str(health))
    assert subprocess.run([sys.executable, flag, program], timeout=20).returncode == code


def test_no_password_of_an_index_is_rendered(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL"):
        monkeypatch.setenv(name, "https://me:s3cret@index.example.org/simple")
    files = image_files(subject, KINDS, sbom=True)
    assert not [name for name, text in files.items() if "s3cret" in str(text)]
    text = str(files["images/gateway/Dockerfile"])
    assert "index" not in re.sub(r"#.*", "", text)  # neither an argument nor an option for one
    assert "type=secret,id=pip" in text


def test_a_wheel_of_this_discern_is_taken_along(subject: Subject, tmp_path: Path) -> None:
    wheel = tmp_path / f"discern-{discern.__version__}-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    assert image_files(subject, ["gateway"], wheel)[f"wheels/{wheel.name}"] == wheel


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("discern-0.0.1-py3-none-any.whl", "is discern 0.0.1, and the images are of"),
        ("numpy-2.0.0-py3-none-any.whl", "is numpy 2.0.0"),
        ("discern.whl", "its name is not that of a wheel"),
        (None, "there is no such file"),
    ],
)
def test_another_file_is_refused(
    subject: Subject, tmp_path: Path, name: str | None, complaint: str
) -> None:
    wheel = tmp_path / (name or "missing.whl")
    if name:
        wheel.write_bytes(b"wheel")
    with pytest.raises(ConfigError, match=complaint):
        image_files(subject, ["gateway"], wheel)


def test_an_unknown_kind_is_an_error_with_the_known_ones(subject: Subject) -> None:
    with pytest.raises(ConfigError, match=r"'all'.*all-in-one, gateway"):
        image_files(subject, ["all"])


def test_the_command_writes_what_any_model_can_be_run_with(tmp_path: Path) -> None:
    command.images(tmp_path / "out", kind=["gateway"], quiet=True)
    assert (tmp_path / "out/images/gateway/Dockerfile").is_file()
    assert (tmp_path / "out/README.md").is_file()
    assert not (tmp_path / "out/images/README.md").exists()
    assert not (tmp_path / "out/images/all-in-one").exists()


def test_a_name_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Give its folder"):
        command.images(tmp_path / "out", name="clothes", quiet=True)


STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u1
Description: C library
 Package: not one

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


@pytest.mark.parametrize(
    ("image", "name", "version"),
    [
        ("host:5000/clothes:1", "host:5000/clothes", "1"),
        ("host:5000/clothes", "host:5000/clothes", "latest"),
        ("clothes:1", "clothes", "1"),
    ],
)
def test_a_bill_of_materials_has_the_system_and_the_model(
    context: Path, tmp_path: Path, image: str, name: str, version: str
) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text(STATUS)
    (root / "models").symlink_to(context / "models")
    bill = {"bomFormat": "CycloneDX", "metadata": {}, "components": [{"name": "numpy"}]}
    (tmp_path / "bill.json").write_text(json.dumps(bill))
    script = [sys.executable, context / "images/sbom/sbom.py", image, root]
    subprocess.run([*script, tmp_path / "bill.json", tmp_path / "out.json"], check=True)

    document = json.loads((tmp_path / "out.json").read_text())
    container = document["metadata"]["component"]
    assert (container["name"], container["version"]) == (name, version)
    parts = {part["name"]: part for part in document["components"]}
    assert parts.keys() == {"numpy", "debian", "python", "libc6", "clothes"}
    assert parts["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64"
    model = parts["clothes"]
    assert model["type"] == "machine-learning-model"
    hashes = json.loads((context / "models/clothes/1/model.json").read_text())["files"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": hashes["model.onnx"]}]


@pytest.mark.skipif(not BASE, reason="DISCERN_IMAGE_TESTS names no base image to build on")
def test_an_image_can_be_built_and_its_model_answers(subject: Subject, tmp_path: Path) -> None:
    source = Path(discern.__file__).parents[2]
    run = [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "wheel", source]
    subprocess.run(run, check=True)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    write(image_files(subject, ["all-in-one"], wheel), tmp_path / "context")
    how = ["--format", "docker", "--isolation", "chroot", "--build-arg", f"PYTHON_IMAGE={BASE}"]
    which = ["--file", tmp_path / "context/images/all-in-one/Dockerfile", tmp_path / "context"]
    image = "discern-image-test"
    subprocess.run(["buildah", "bud", *how, "--tag", image, *which], check=True)
    try:
        about = subprocess.run(
            ["buildah", "inspect", "--type", "image", image], check=True, capture_output=True
        )
        config = json.loads(about.stdout)["Docker"]["config"]
        assert config["User"] == "10001:10001"
        assert config["Labels"]["discern.model"] == "clothes"
    finally:
        subprocess.run(["buildah", "rmi", image], check=True)
