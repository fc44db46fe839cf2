"""The API's documentation at `/docs`: Swagger UI, all of it from this server.

Addresses are relative, so that the page works below any root path.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from html import escape
from importlib import resources
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from discern import __version__

KINDS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
    "start.js": "text/javascript",
}
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; "  # blob: pictures in answers
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",
}
FOREVER: Final = {"cache-control": "public, max-age=31536000, immutable"}  # see `_address`

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>discern {version}: API</title>
<link rel="icon" href="{favicon}">
<link rel="stylesheet" href="{style}">
<div id="swagger" data-openapi="{openapi}"></div>
<script src="{bundle}"></script>
<script src="{start}"></script>
</html>
"""
# Without `validatorUrl: null`, Swagger UI sends the API's address to swagger.io.
START: Final = b"""SwaggerUIBundle({
  url: document.getElementById("swagger").dataset.openapi,
  dom_id: "#swagger",
  deepLinking: true,
  validatorUrl: null,
});
"""


def router(openapi_url: str) -> APIRouter:
    """`/docs` and its files; `openapi_url` is relative to the server's root."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    def page() -> Response:
        return Response(_page(openapi_url), media_type="text/html", headers=HEADERS)

    for name in KINDS:
        routes.add_api_route(f"/docs/{name}", _serving(name), methods=["GET"])
    return routes


def _serving(name: str) -> Callable[[], Response]:
    def serve() -> Response:
        return Response(_content(name), media_type=KINDS[name], headers=FOREVER)

    return serve


def _page(openapi_url: str) -> str:
    return PAGE.format(
        version=escape(__version__),
        openapi=escape(openapi_url),
        favicon=_address("favicon.png"),
        style=_address("swagger-ui.css"),
        bundle=_address("swagger-ui-bundle.js"),
        start=_address("start.js"),
    )


@cache
def _address(name: str) -> str:
    """A file's address, which changes with its content: browsers may keep it forever."""
    return f"docs/{name}?v={hashlib.sha256(_content(name)).hexdigest()[:12]}"


@cache
def _content(name: str) -> bytes:
    """A file's bytes, read when they are first asked for."""
    if name == "start.js":
        return START
    return resources.files("fastapi_offline").joinpath("static", name).read_bytes()
