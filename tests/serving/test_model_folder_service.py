"""What gateways are told about the models: versions, meaning, files."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from discern.errors import UnauthorisedError
from discern.model.info import info_from_json
from discern.serving.local import Opener
from discern.serving.metrics import Metrics
from discern.serving.protocols import model_folder
from discern.serving.protocols.grpc_server import admit_all, create_grpc_server
from discern.serving.protocols.messages import message
from discern.serving.settings import ServeSettings
from discern.serving.single import SingleModel
from discern.serving.workers import Workers

Ask = Callable[..., Awaitable[Any]]
SETTINGS = ServeSettings()


def told(folder: Path, questions: Callable[[Ask], Awaitable[Any]], admit: Any = admit_all) -> Any:
    """What `questions` gets from a server of this model."""

    async def run() -> Any:
        workers, metrics = Workers(1, 10), Metrics()
        catalog = SingleModel(folder, Opener(workers, SETTINGS, metrics), metrics)
        await catalog.start()
        service = model_folder.grpc_service(catalog, SETTINGS, metrics, admit)
        server = create_grpc_server([service], SETTINGS)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

                async def ask(method: str, **fields: str) -> Any:
                    request = message(f"discern.{method}Request")(**fields).SerializeToString()
                    call = channel.unary_unary(f"/{model_folder.SERVICE}/{method}")
                    answer = message(f"discern.{method}Response").FromString
                    return answer(await call(request, timeout=5))

                return await questions(ask)
        finally:
            await server.stop(None)
            workers.close()

    return asyncio.run(run())


def test_the_versions_are_listed_with_the_digest_of_their_info(served: Path) -> None:
    async def questions(ask: Ask) -> Any:
        return await ask("List"), await ask("File", name="pets", version="3", file="model.json")

    listed, file = told(served, questions)
    (version,) = listed.versions
    assert (version.name, version.version) == ("pets", "3")
    assert version.digest == hashlib.sha256(file.data).hexdigest()
    info = info_from_json(file.data, "there")
    assert info.labels == ("cat", "dog", "fish")
    assert info == info_from_json((served / "model.json").read_bytes(), "here")


def test_files_that_people_may_see_are_handed_out(served: Path) -> None:
    async def questions(ask: Ask) -> Any:
        return [await ask("File", file=name) for name in ("report.html", "reference/00.png")]

    report, reference = told(served, questions)
    assert report.data == b"<h1>Report</h1>"
    assert reference.data == (served / "reference" / "00.png").read_bytes()


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "model.onnx"},
        {"file": "../model.json"},
        {"file": ""},
        {"file": "model.json", "version": "4"},
        {"file": "model.json", "name": "birds"},
    ],
)
def test_nothing_else_is(served: Path, fields: dict[str, str]) -> None:
    async def questions(ask: Ask) -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask("File", **fields)
        return caught.value.code()

    assert told(served, questions) is grpc.StatusCode.NOT_FOUND


def test_who_is_not_admitted_is_told_nothing(served: Path) -> None:
    def admit(_metadata: Any, _peer: str) -> None:
        raise UnauthorisedError("No key.")

    async def questions(ask: Ask) -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask("List")
        return caught.value.code()

    assert told(served, questions, admit) is grpc.StatusCode.UNAUTHENTICATED
