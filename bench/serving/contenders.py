"""The servers that are measured, and the requests that each understands."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from discern.model import Model, load
from material import discern, python_with
from serving.loading import closed_loop
from serving.servers import Server, free_port, running

PEERS = Path(__file__).parents[1] / "peers"
PICTURES, CONNECTIONS = 64, 16
LITSERVE = "0.2.19"
SAME = ("onnxruntime", "numpy", "pillow", "python-multipart", "uvicorn", "uvloop", "httptools")
BOUNDARY = "picture-boundary"


@dataclass(frozen=True)
class Contender:
    """A server to be measured: how it is started, and what it is asked."""

    name: str
    words: Callable[[int], list[str]]  # the command, given a port
    requests: Path  # a folder of whole requests
    health: str = "/readyz"

    @contextmanager
    def fresh(self) -> Iterator[Server]:
        """The server, ready."""
        port = free_port()
        with running(self.name, self.words(port), port, self.health) as server:
            yield server

    @contextmanager
    def warm(self) -> Iterator[Server]:
        """The server, after some load."""
        with self.fresh() as server:
            closed_loop(server.port, self.requests, 1, CONNECTIONS)
            yield server


@dataclass(frozen=True)
class Bench:
    """What every section measures with; `litserve` is a Python that has it, if any."""

    folder: Path  # the model's
    files: list[Path]  # pictures
    scratch: Path
    seconds: float
    rounds: int
    reloads: int
    litserve: Path | None

    @cached_property
    def model(self) -> Model:
        return load(self.folder)

    @cached_property
    def pictures(self) -> list[bytes]:
        step = max(1, len(self.files) // PICTURES)
        return [path.read_bytes() for path in self.files[::step][:PICTURES]]

    def requests(self, form_field: str | None = None) -> Path:
        """A folder of whole requests to /predict, with raw bodies or forms."""
        folder = self.scratch / f"requests-{form_field or 'raw'}"
        if not folder.exists():
            folder.mkdir()
            for i, picture in enumerate(self.pictures):
                (folder / f"{i:02}.http").write_bytes(post(picture, form_field))
        return folder

    def ours(self, form_field: str | None = None) -> Contender:
        def words(port: int) -> list[str]:
            return discern("serve", str(self.folder), "--port", str(port))

        return Contender("discern serve", words, self.requests(form_field))

    def plain(self, way: str = "def") -> Contender:
        def words(port: int) -> list[str]:
            app = str(PEERS / "fastapi_app.py")
            return [sys.executable, app, str(self.folder), str(port), way]

        return Contender("FastAPI", words, self.requests("file"), "/health")

    def lit(self, *settings: str) -> Contender:
        def words(port: int) -> list[str]:
            app = str(PEERS / "litserve_app.py")
            return [str(self.litserve), app, str(self.folder), str(port), *settings]

        return Contender("LitServe", words, self.requests("request"), "/health")


def post(picture: bytes, form_field: str | None) -> bytes:
    """A whole HTTP request with one JPEG, as the body or in a form."""
    kind, body = "image/jpeg", picture
    if form_field:
        kind, body = f"multipart/form-data; boundary={BOUNDARY}", form(picture, form_field)
    head = (
        "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def form(picture: bytes, form_field: str) -> bytes:
    """The body of a form with one JPEG."""
    head = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{form_field}"; filename="picture.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


def litserve_python() -> Path | None:
    """A Python with LitServe beside the same engine that we run, if it can be had."""
    wanted = [f"litserve=={LITSERVE}", *(f"{name}=={version(name)}" for name in SAME)]
    return python_with("litserve", wanted)
