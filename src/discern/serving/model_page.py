"""`GET /model`: what is being served and how good it is, for the page and for the curious."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from discern.errors import UnknownModelError
from discern.model import ModelInfo
from discern.model.reference import EXPECTED, FOLDER
from discern.serving import schemas
from discern.serving.catalog import Catalog, Servable
from discern.serving.facts import described
from discern.serving.local import REPORT
from discern.serving.settings import ServeSettings

KINDS = {".jpg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".bmp": "image/bmp"}
# The report is one self-contained page with styles, and a script that sorts its tables; in the
# sandbox it has no origin, and reaches nothing of the server's.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "sandbox allow-scripts"
)


def router(catalog: Catalog, settings: ServeSettings, needs_key: bool) -> APIRouter:
    """The description of the model, its report, its reference pictures."""
    routes = APIRouter(tags=["model"])

    @routes.get("/model", summary="What is served", responses=schemas.problems(400, 404, 503))
    async def model(name: str | None = None, version: str | None = None) -> dict[str, Any]:
        servable = catalog.find(name, version)
        return _description(servable, settings, needs_key)

    @routes.get(
        "/model/files/{file:path}",
        summary="Its report, a reference picture",
        response_class=Response,
        responses=schemas.problems(400, 401, 404, 503),
    )
    async def model_file(file: str, name: str | None = None) -> Response:
        data = await catalog.find(name).file(file) if _is_for_people(file) else None
        if data is None:
            raise UnknownModelError(f"The model has no file {file!r} to show.")
        return _file(file, data)

    return routes


def _is_for_people(name: str) -> bool:
    return name == REPORT or name.startswith(f"{FOLDER}/")


def _file(name: str, data: bytes) -> Response:
    if name == REPORT:
        return Response(
            data, media_type="text/html", headers={"content-security-policy": REPORT_POLICY}
        )
    kind = KINDS.get(name[name.rfind(".") :], "application/octet-stream")
    return Response(data, media_type=kind, headers={"cache-control": "private, max-age=3600"})


def _description(servable: Servable, settings: ServeSettings, needs_key: bool) -> dict[str, Any]:
    info, sets = servable.info, servable.interpreter.sets
    pictures = [n for n in sorted(info.files) if n.startswith(f"{FOLDER}/") and n != EXPECTED]
    return {
        "name": servable.name,
        "version": servable.version,
        "labels": list(info.labels),
        "task": info.task,
        "backbone": info.backbone.get("architecture", info.backbone["name"]),
        "mode": info.training.get("mode"),
        "created": info.created,
        "metrics": _metrics(info),
        "examples": [f"model/files/{name}" for name in pictures],
        "report": f"model/files/{REPORT}" if REPORT in info.files else None,
        "unknown": servable.interpreter.unknown is not None,
        "set": sets is not None,
        "coverage": None if sets is None else sets.coverage,
        "explain": servable.explains,
        "metadata": described(servable.facts.spec) if servable.facts else None,
        "fetch": settings.fetch.enabled,
        "key": needs_key,
        "limits": {
            "bytes": settings.limits.picture_bytes,
            "pixels": settings.limits.picture_pixels,
            "pictures": settings.limits.pictures,
        },
    }


def _metrics(info: ModelInfo) -> dict[str, Any] | None:
    """The score on test, or else on validation; None where there is none."""
    for split in ("test", "validation"):
        found: Mapping[str, Any] = info.metrics.get(split, {})
        accuracy = found.get("accuracy")
        if isinstance(accuracy, Mapping):
            return {
                "split": split,
                "n": found["n"],
                "accuracy": accuracy["value"],
                "low": accuracy["low"],
                "high": accuracy["high"],
                "calibration_error": found["calibration_error"],
            }
    return None
