"""The documentation at `/docs`: from this server alone; where a browser is found, that it works."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi_offline")
import uvicorn
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount

from discern.serving import docs_page

ROOT = "/models/clothes"


def make_app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(docs_page.router("openapi.json"))

    @app.get("/picture")
    def picture() -> Response:
        """A picture."""
        return Response(docs_page._content("favicon.png"), media_type="image/png")

    return app


@pytest.fixture
def client() -> TestClient:
    return TestClient(make_app(), root_path=ROOT)


def test_every_address_is_relative_and_answers(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    addresses = re.findall(r'(?:src|href|data-openapi)="([^"]*)"', page.text)
    assert len(addresses) == 5
    assert not any(address.startswith("/") or ":" in address for address in addresses)
    for address in addresses:
        answer = client.get(f"/{address}")
        assert answer.status_code == 200
        if "?v=" in address:
            assert "immutable" in answer.headers["cache-control"]
            name = address.removeprefix("docs/").partition("?")[0]
            assert answer.headers["content-type"].startswith(docs_page.KINDS[name])


def test_no_script_within_the_page(client: TestClient) -> None:
    page = client.get("/docs")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert set(re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.DOTALL)) == {""}
    assert not re.search(r"\son\w+=|javascript:", page.text)


@pytest.mark.parametrize("name", ["redoc.standalone.js", "nothing.js", "..%2fcore.py", ""])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/docs/{name}", follow_redirects=False).status_code in (404, 307)


def test_it_is_not_in_the_schema(client: TestClient) -> None:
    assert client.get("/openapi.json").json()["paths"].keys() == {"/picture"}


@pytest.fixture
def address() -> Iterator[str]:
    """Where the page is served, below a path as behind a proxy."""
    site = Starlette(routes=[Mount(ROOT, make_app())])
    server = uvicorn.Server(uvicorn.Config(site, lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_in_a_browser(address: str, browser: Any) -> None:
    # Under a name of its own: Swagger UI behaves otherwise on the local host.
    port = address.split(":")[1]
    page = browser.new_page()
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: told.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://clothes.example:{port}{ROOT}/docs")
    page.locator("#operations-default-picture_picture_get .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(".response-col_status", has_text="200").first.wait_for()
    page.wait_for_timeout(300)
    page.close()
    assert told == []
    ours = f"http://clothes.example:{port}{ROOT}/"
    here = (ours, "data:", "blob:")
    assert [url for url in asked if not url.startswith(here)] == []
