"""Apps and clients over a tiny model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from discern.serving.app import create_app
from discern.serving.fetch import FetchSettings
from discern.serving.settings import ServeSettings

Client = TestClient
MakeClient = Callable[..., Client]


@pytest.fixture
def served(tmp_path: Path, make_model: Callable[..., Path]) -> Path:
    """The model folder that clients talk to: `pets`, version 3."""
    return make_model(tmp_path / "pets" / "3")


@pytest.fixture
def make_client(served: Path) -> Iterator[MakeClient]:
    """`make_client(limits=…, access=…)` starts an app with these settings."""
    clients: list[Client] = []

    def make(**settings: Any) -> Client:
        app = create_app(served, ServeSettings(**{"fetch": FetchSettings(), **settings}))
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client()
