"""The model server's gRPC side as it is put together, and a gateway before it."""

import asyncio
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
import pytest

from discern.errors import DiscernError
from discern.serving.access import hashed, new_key
from discern.serving.access_log import AccessLog
from discern.serving.app import build_app, close, make_parts
from discern.serving.gateway import UpstreamCatalog
from discern.serving.local import Opener
from discern.serving.passing_on import PASSED_ON
from discern.serving.protocols.grpc_app import build_grpc_server
from discern.serving.protocols.messages import message
from discern.serving.repository import FolderRepository
from discern.serving.settings import AccessSettings, ServeSettings

HEALTH = "/grpc.health.v1.Health/Check"
SERVER_READY = "/inference.GRPCInferenceService/ServerReady"


@pytest.fixture
def key_and_settings(tmp_path: Path) -> tuple[str, ServeSettings]:
    key, file = new_key(), tmp_path / "keys"
    file.write_text(f"gateway:{hashed(key)}\n")
    return key, ServeSettings(access=AccessSettings(keys_file=str(file)))


def test_a_gateway_brings_its_key_and_the_requests_id(
    tmp_path: Path,
    make_model: Callable[..., Path],
    pictures: list[Path],
    key_and_settings: tuple[str, ServeSettings],
) -> None:
    make_model(tmp_path / "models" / "pets" / "1")
    (key, settings), log = key_and_settings, io.StringIO()

    async def main() -> None:
        parts = make_parts(settings)
        opener = Opener(parts.workers, settings, parts.metrics)
        catalog = FolderRepository(tmp_path / "models", opener, parts.metrics)
        await catalog.start()
        server = build_grpc_server(catalog, parts, log=AccessLog(log))
        upstream = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        welcome, refused = (
            UpstreamCatalog([upstream], parts.workers, settings, parts.metrics, key=given)
            for given in (key, None)
        )
        await welcome.start()
        PASSED_ON.set([("x-request-id", "abc-1")])
        outputs = await welcome.find().picture(pictures[0].read_bytes(), time.monotonic() + 5)
        assert outputs["probabilities"].shape == (3,)
        with pytest.raises(DiscernError):
            await refused.start()
            refused.find()
        await asyncio.gather(welcome.stop(), refused.stop())
        await server.stop(None)
        await catalog.stop()
        await close(parts)

    asyncio.run(main())
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    infer = [line for line in lines if line["path"].endswith("/ModelInfer")]
    assert [(line["request_id"], line["status"]) for line in infer] == [("abc-1", "OK")]
    assert "UNAUTHENTICATED" in {line["status"] for line in lines}


def test_probes_need_no_key(
    tmp_path: Path, make_model: Callable[..., Path], key_and_settings: tuple[str, ServeSettings]
) -> None:
    make_model(tmp_path / "models" / "pets" / "1")
    _, settings = key_and_settings

    async def main() -> int:
        parts = make_parts(settings)
        opener = Opener(parts.workers, settings, parts.metrics)
        catalog = FolderRepository(tmp_path / "models", opener, parts.metrics)
        await catalog.start()
        server = build_grpc_server(catalog, parts, log=AccessLog(io.StringIO()))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = await channel.unary_unary(HEALTH)(b"")
        await server.stop(None)
        await catalog.stop()
        await close(parts)
        status: int = message("grpc.health.v1.HealthCheckResponse").FromString(answer).status
        return status

    assert asyncio.run(main()) == 1


def test_all_that_say_whether_a_server_is_ready_say_the_same(
    tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    make_model(tmp_path / "models" / "pets" / "1")

    async def main() -> None:
        parts = make_parts(ServeSettings())
        opener = Opener(parts.workers, parts.settings, parts.metrics)
        catalog = FolderRepository(tmp_path / "models", opener, parts.metrics)
        await catalog.start()
        server = build_grpc_server(catalog, parts, log=AccessLog(io.StringIO()))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        transport = httpx.ASGITransport(build_app(catalog, parts))
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            httpx.AsyncClient(transport=transport, base_url="http://server") as client,
        ):
            for draining in (False, True):
                parts.draining = draining
                assert await said(channel, client) == {not draining}
        await server.stop(None)
        await catalog.stop()
        await close(parts)

    asyncio.run(main())


async def said(channel: grpc.aio.Channel, client: httpx.AsyncClient) -> set[bool]:
    health = message("grpc.health.v1.HealthCheckResponse").FromString(
        await channel.unary_unary(HEALTH)(b"")
    )
    ready = message("inference.ServerReadyResponse").FromString(
        await channel.unary_unary(SERVER_READY)(b"")
    )
    v2 = await client.get("/v2/health/ready")
    assert v2.json() == {"ready": v2.status_code == 200}
    readyz = await client.get("/readyz")
    return {health.status == 1, ready.ready, v2.status_code == 200, readyz.status_code == 200}
