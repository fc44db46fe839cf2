"""The page at `/` and its files, kept in memory, under a strict content security policy."""

import hashlib
from importlib import resources

from fastapi import APIRouter, Request
from starlette.responses import Response

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
INDEX = "index.html"
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
    "cache-control": "no-cache",  # asked again each time, answered 304
}


def router() -> APIRouter:
    """The page; one route for each of its files."""
    routes = APIRouter(include_in_schema=False)
    for file in resources.files("discern.serving").joinpath("page").iterdir():
        kind = KINDS.get(file.name.rpartition(".")[2])
        if kind:
            path = "/" if file.name == INDEX else f"/page/{file.name}"
            routes.add_api_route(path, _serving(file.read_bytes(), kind), methods=["GET"])
    return routes


def _serving(content: bytes, kind: str):  # type: ignore[no-untyped-def]
    headers = HEADERS | {"etag": f'"{hashlib.sha256(content).hexdigest()[:16]}"'}

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return serve
