"""Dockerfiles, and all that `docker build -f images/KIND/Dockerfile .` needs beside them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import discern
from discern.deploy.pins import LAMBDA, SERVING, constraints
from discern.deploy.rendering import Files, copied, render
from discern.deploy.subject import Subject
from discern.errors import ConfigError

KINDS = ("all-in-one", "gateway", "model-server", "lambda")
WITH_VOLUME = ("all-in-one", "gateway", "model-server")  # Lambda has none
README = "images/README.md"
_HTTP_ONLY = {"grpcio": "this image answers HTTP only"}
_NO_INFERENCE = {"onnxruntime": "the model servers do the inference"}
VOLUME = "models/model/1"  # where images without a model look for one
CYCLONEDX = "7.5.0"  # of cyclonedx-bom, which writes bills of materials


@dataclass(frozen=True)
class Image:
    """What sets one kind of image apart from the others."""

    kind: str
    about: str
    command: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    http_port: int | None = None  # which port answers /readyz; None: nobody asks
    unused: Mapping[str, str] = field(default_factory=dict)  # packages to leave out, and why
    holds_model: bool = True


def image_files(
    subject: Subject,
    kinds: Sequence[str],
    wheel: Path | None = None,
    *,
    gateway_has_model: bool = False,
    sbom: bool = False,
) -> Files:
    """What these kinds of images are built from, the model folder among it.

    Servers have their whole command line as CMD (`discern serve …`) and no ENTRYPOINT.
    `gateway_has_model` is for gateways to model servers that know no labels (Triton,
    TensorFlow Serving). `sbom` adds what lists the parts of a built image. ConfigError where a
    version cannot be pinned, or `wheel` is not a wheel of this discern.
    """
    images = [_image(kind, subject.name, subject.repository, gateway_has_model) for kind in kinds]
    values = {
        "name": subject.name,
        "model": subject.repository,
        "version": subject.tag,
        "licence": subject.model.info.backbone.get("license", "unknown"),
        "names": {image.kind: subject.image(image.kind) for image in images},
    }
    files = _context(images, wheel, sbom, values)
    if any(image.holds_model for image in images):
        files |= copied(subject.model.path, subject.repository)
    return files


def volume_image_files(
    kinds: Sequence[str] = WITH_VOLUME, wheel: Path | None = None, *, sbom: bool = False
) -> Files:
    """What images without a model are built from: it comes by a volume; else as `image_files`."""
    images = [_image(kind, "model", None, False) for kind in kinds]
    values = {
        "name": "discern",
        "model": None,
        "version": discern.__version__,
        "licence": None,
        "names": {kind: f"discern-{kind}:{discern.__version__}" for kind in kinds},
    }
    return _context(images, wheel, sbom, values)


def _image(kind: str, name: str, model: str | None, gateway_has_model: bool) -> Image:
    """One of `KINDS`; without a `model` of its own it looks for one at the volume's place."""
    folder, baked = f"/{model or VOLUME}", model is not None
    if kind == "all-in-one":
        return Image(
            kind,
            "API, page and model in one process",
            ("discern", "serve", folder, "--host", "0.0.0.0"),
            ports=(8000,),
            http_port=8000,
            unused=_HTTP_ONLY,
            holds_model=baked,
        )
    if kind == "model-server":
        return Image(
            kind,
            "inference for gateways: gRPC 8500, REST 8501",
            ("discern", "model-server", "/models", "--host", "0.0.0.0"),
            ports=(8500, 8501),
            http_port=8501,
            holds_model=baked,
        )
    if kind == "gateway":
        own = ("--model", folder, "--name", name) if gateway_has_model else ()
        upstream = ("--upstream", "grpc://model-server:8500")
        return Image(
            kind,
            "API and page in front of model servers",
            ("discern", "gateway", "--host", "0.0.0.0", *upstream, *own),
            ports=(9696,),
            http_port=9696,
            unused=_NO_INFERENCE,
            holds_model=gateway_has_model,
        )
    if kind == "lambda":
        return Image(
            kind,
            "an AWS Lambda function",
            ("discern.serving.lambda_function.handler",),
            entrypoint=("python", "-m", "awslambdaric"),
            unused=_HTTP_ONLY,
        )
    raise ConfigError(f"There is no image {kind!r}. Images: {', '.join(KINDS)}.")


def _context(
    images: Sequence[Image], wheel: Path | None, sbom: bool, values: Mapping[str, object]
) -> dict[str, str | bytes | Path]:
    """Everything in the build context but the model."""
    values = {
        **values,
        "discern": discern.__version__,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "wheel": wheel.name if wheel else None,
        "sbom": sbom,
        "cyclonedx": CYCLONEDX,
        "volume": "" if values["model"] else f'-v "$PWD/my-model:/{VOLUME}:ro" ',
    }
    lambda_too = any(image.kind == "lambda" for image in images)
    files: dict[str, str | bytes | Path] = {
        f"images/{image.kind}/Dockerfile": render("images/Dockerfile", **values, image=image)
        for image in images
    }
    files |= {
        "constraints.txt": constraints(LAMBDA if lambda_too else SERVING),
        ".dockerignore": render("images/dockerignore", **values),
        "wheels/README.md": render("images/wheels.md", **values),
        README: render("images/README.md", **values, images=images, options=_first_server(images)),
    }
    if sbom:
        files["images/sbom/Dockerfile"] = render("images/sbom.Dockerfile", **values)
        files["images/sbom/sbom.py"] = render("images/sbom.py", **values)
    if wheel:
        _check_wheel(wheel)
        files[f"wheels/{wheel.name}"] = wheel
    return files


def _first_server(images: Sequence[Image]) -> Image | None:
    return next((image for image in images if image.http_port), None)


def _check_wheel(wheel: Path) -> None:
    """ConfigError unless it is a wheel of the discern that pins the other versions."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    if not wheel.is_file():
        raise ConfigError(f"{wheel}: there is no such file.")
    try:
        name, version, _build, _tags = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as exc:
        raise ConfigError(f"{wheel}: its name is not that of a wheel.") from exc
    if (name, str(version)) != ("discern", discern.__version__):
        raise ConfigError(
            f"{wheel}: is {name} {version}, and the images are of discern {discern.__version__}. "
            "Make it from this discern's source: python -m build --wheel"
        )
