"""The gateway's catalog over real model servers, and over servers that misbehave."""

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from discern.errors import (
    ConfigError,
    DeadlineError,
    OverloadedError,
    PictureError,
    RequestError,
    UnknownModelError,
    UpstreamError,
)
from discern.images import PreprocessSpec
from discern.model import load, save_folder
from discern.model.interpreter import Interpreter
from discern.model.reference import Reference, reference_files
from discern.runtime import Predictor
from discern.runtime.engine import create_engine
from discern.serving.app import build_app, close, make_parts
from discern.serving.gateway import UpstreamCatalog
from discern.serving.gateway.circuit import FAILURES, LONGEST, SHORTEST, Circuit
from discern.serving.gateway.editions import Edition
from discern.serving.gateway.open_inference import RAW_INPUT, request
from discern.serving.gateway.upstreams import parse_upstreams
from discern.serving.local import Opener
from discern.serving.metrics import Metrics
from discern.serving.protocols import model_folder, open_inference_grpc, tensorflow_grpc
from discern.serving.protocols.encoded_pictures import run_encoded
from discern.serving.protocols.grpc_server import Call, Handler, create_grpc_server, service
from discern.serving.protocols.messages import message
from discern.serving.repository import FolderRepository
from discern.serving.settings import ServeSettings
from discern.serving.workers import Workers

ModelMaker = Callable[..., Path]
SETTINGS = ServeSettings()
INFER = "inference.GRPCInferenceService"
SIDE = 16
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
POLL = 0.05


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class World:
    """Servers and gateways in one event loop, all stopped at its end."""

    stack: contextlib.AsyncExitStack
    workers: Workers
    metrics: Metrics = field(default_factory=Metrics)

    async def server(
        self,
        repository: Path,
        infer: Handler | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: Any = None,
    ) -> "Server":
        """A model server over this repository; `infer` answers in its stead."""
        metrics = Metrics()
        opener = Opener(self.workers, SETTINGS, metrics)
        catalog = FolderRepository(repository, opener, metrics, POLL)
        await catalog.start()
        self.stack.push_async_callback(catalog.stop)
        oip = (
            service(INFER, {"ModelInfer": infer}, SETTINGS, metrics)
            if infer
            else open_inference_grpc.grpc_service(catalog, lambda: True, SETTINGS, metrics)
        )
        services = [oip, model_folder.grpc_service(catalog, SETTINGS, metrics)]
        return await self.listen(services, host, port, credentials, catalog, metrics)

    async def listen(
        self,
        services: Sequence[grpc.GenericRpcHandler],
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: Any = None,
        catalog: Any = None,
        metrics: Any = None,
    ) -> "Server":
        server = create_grpc_server(services, SETTINGS)
        at = f"{host}:{port}"
        if credentials:
            bound = server.add_secure_port(at, credentials)
        else:
            bound = server.add_insecure_port(at)
        await server.start()
        self.stack.push_async_callback(server.stop, None)
        return Server(server, bound, catalog, metrics)

    async def gateway(self, *upstreams: "str | Server", **options: Any) -> UpstreamCatalog:
        texts = [u if isinstance(u, str) else f"grpc://127.0.0.1:{u.port}" for u in upstreams]
        catalog = UpstreamCatalog(
            texts, self.workers, SETTINGS, self.metrics, **{"poll_seconds": POLL, **options}
        )
        self.stack.push_async_callback(catalog.stop)
        await catalog.start()
        return catalog


@dataclass
class Server:
    rpc: grpc.aio.Server
    port: int
    catalog: Any
    metrics: Any

    def answered(self, status: str = "OK") -> int:
        """How many ModelInfer calls it has answered so."""
        line = f'discern_requests_total{{route="/{INFER}/ModelInfer",status="{status}"}} '
        text: str = self.metrics.text().decode()
        return int(float(text.partition(line)[2].partition("\n")[0] or 0))


def run(scene: Callable[[World], Awaitable[None]]) -> None:
    @asynccontextmanager
    async def world() -> AsyncIterator[World]:
        workers = Workers(2, 40)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(workers.close)
            yield World(stack, workers)

    async def main() -> None:
        async with world() as made, asyncio.timeout(20):
            await scene(made)

    asyncio.run(main())


def another(
    make_model: ModelMaker, folder: Path, labels: tuple[str, ...], spec: PreprocessSpec
) -> Path:
    """A model folder with another network, other labels and another picture size."""
    model = load(make_model(folder.with_name("making"), seed=1))
    info = replace(model.info, labels=labels, preprocess=spec)
    predictor = Predictor(create_engine(model.graph, "onnxruntime"), spec, Interpreter(labels))
    data = [reference.data for reference in model.references]
    predictions = predictor.predict(data)
    references = [
        Reference(old.name, old.data, prediction.scores)
        for old, prediction in zip(model.references, predictions, strict=True)
    ]
    files = {"model.onnx": model.graph, "seen.npy": model.path / "seen.npy"}
    save_folder(folder, info, files | reference_files(references))
    shutil.rmtree(model.path)
    return folder


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def repository(tmp_path: Path, make_model: ModelMaker) -> Path:
    """A model repository with pets/3."""
    make_model(tmp_path / "repository" / "pets" / "3")
    return tmp_path / "repository"


@pytest.fixture
def picture(pictures: list[Path]) -> bytes:
    return pictures[0].read_bytes()


def expected(folder: Path, picture: bytes) -> dict[str, float]:
    (prediction,) = load(folder).predictor(engine="onnxruntime").predict([picture])
    return prediction.scores


async def scores(servable: Any, picture: bytes, seconds: float = 5.0) -> dict[str, float]:
    outputs = await servable.picture(picture, soon(seconds))
    values = outputs["probabilities"].tolist()
    return dict(zip(servable.info.labels, values, strict=True))


# What the single process answers, the gateway answers


def test_answers_are_those_of_the_model(repository: Path, picture: bytes) -> None:
    folder = repository / "pets" / "3"
    engine = load(folder).predictor(engine="onnxruntime").engine

    async def scene(world: World) -> None:
        gateway = await world.gateway(await world.server(repository))
        assert gateway.ready
        servable = gateway.find()
        assert (servable.name, servable.version) == ("pets", "3")
        assert servable.info == load(folder).info
        assert await scores(servable, picture) == pytest.approx(expected(folder, picture))
        outputs = await servable.pixels(PIXELS, soon())
        for name, values in engine.run(PIXELS).items():
            np.testing.assert_allclose(outputs[name], values, rtol=1e-5)
        assert [v.version for v in gateway.statuses()["pets"]] == ["3"]
        text = world.metrics.text().decode()
        assert 'discern_pictures_total{model="pets",version="3"} 3.0' in text
        assert 'discern_model_info{model="pets",version="3"} 1.0' in text
        assert gateway.find("pets", "3").version == "3"
        for name, version in (("birds", None), ("pets", "4")):
            with pytest.raises(UnknownModelError):
                gateway.find(name, version)

    run(scene)


def test_files_come_from_the_model_server(repository: Path) -> None:
    async def scene(world: World) -> None:
        server = await world.server(repository)
        gateway = await world.gateway(server)
        assert await gateway.find().file("report.html") == b"<h1>Report</h1>"
        assert await gateway.find().file("model.onnx") is None
        assert await gateway.find().file("../etc/passwd") is None
        await server.rpc.stop(None)
        assert await gateway.find().file("report.html") == b"<h1>Report</h1>"  # kept

    run(scene)


def test_bad_input_is_refused_as_in_one_process(repository: Path) -> None:
    async def scene(world: World) -> None:
        servable = (await world.gateway(await world.server(repository))).find()
        with pytest.raises(PictureError):
            await servable.picture(b"no picture", soon())
        with pytest.raises(RequestError, match="expected uint8"):
            await servable.pixels(PIXELS[:, :5], soon())
        with pytest.raises(DeadlineError):
            await servable.pixels(PIXELS, time.monotonic() - 1)

    run(scene)


def test_the_pixels_behind_the_head_are_the_message_that_protobuf_makes(repository: Path) -> None:
    model = load(repository / "pets" / "3")
    edition = Edition("pets", "3", model.info, model.interpreter, None, pinned=True)
    for images in (PIXELS, PIXELS[:1], PIXELS[:, ::-1]):
        made = message("inference.ModelInferRequest").FromString(request(edition, images))
        assert (made.model_name, made.model_version) == ("pets", "3")
        assert made.raw_input_contents == [images.tobytes()]
        (tensor,) = made.inputs
        assert (tensor.name, tensor.datatype) == ("images", "UINT8")
        assert list(tensor.shape) == list(images.shape)
    assert RAW_INPUT[0] >> 3 == 7
    facts = np.arange(6, dtype=np.float32).reshape(2, 3)
    made = message("inference.ModelInferRequest").FromString(request(edition, PIXELS, facts))
    assert made.raw_input_contents == [PIXELS.tobytes(), facts.tobytes()]
    assert [(t.name, t.datatype, list(t.shape)) for t in made.inputs][1:] == [
        ("metadata", "FP32", [2, 3])
    ]


def test_the_whole_app_stands_on_a_gateway(repository: Path, pictures: list[Path]) -> None:
    files = [("file", (path.name, path.read_bytes())) for path in pictures[:3]]
    right = expected(repository / "pets" / "3", pictures[1].read_bytes())

    async def scene(world: World) -> None:
        parts = make_parts(SETTINGS)
        world.stack.push_async_callback(close, parts)
        server = await world.server(repository)
        app = build_app(await world.gateway(server), parts)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/model")).json()["version"] == "3"
            assert (await client.get("/model/files/report.html")).text == "<h1>Report</h1>"
            many = (await client.post("/predict", files=files)).json()["predictions"]
            assert [one["model"]["version"] for one in many] == ["3"] * 3
            assert many[1]["scores"] == pytest.approx(right)
            await server.rpc.stop(None)
            data = pictures[0].read_bytes()
            failed = await client.post(
                "/predict", content=data, headers={"content-type": "image/png"}
            )
            assert failed.status_code == 502
            assert "127.0.0.1" not in failed.text

    run(scene)


# Upstreams and their names


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["models:8500"],
        ["http://models:8500"],
        ["grpc://models"],
        ["grpc://models:0"],
        ["grpc://models:99999"],
        ["grpc://:8500"],
        ["grpc://models:8500/path"],
        ["grpc://me@models:8500"],
        ["grpc://[::1:8500"],
        ["grpc://models:8500", "tf-serving://models:8500"],
    ],
)
def test_what_is_no_upstream_is_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigError):
        parse_upstreams(texts)


def test_a_name_with_several_addresses_joins_and_drains_them(
    repository: Path, picture: bytes
) -> None:
    port = free_port()
    addresses = ["127.0.0.1"]

    async def resolve(host: str, _port: int) -> Sequence[str]:
        assert host == "models.example"
        if not addresses:
            raise OSError("no answer")
        return addresses

    async def scene(world: World) -> None:
        first = await world.server(repository, port=port)
        second = await world.server(repository, host="127.0.0.2", port=port)
        gateway = await world.gateway(f"grpc://models.example:{port}", resolve=resolve)

        async def ask(times: int) -> tuple[int, int]:
            before = first.answered(), second.answered()
            for _ in range(times):
                await scores(gateway.find(), picture)
            return first.answered() - before[0], second.answered() - before[1]

        assert await ask(4) == (4, 0)
        addresses.append("127.0.0.2")
        await until(lambda: len(gateway._pool.addresses) == 2)
        await until(lambda: all(address.editions for address in gateway._pool.addresses))
        assert await ask(4) == (2, 2)
        addresses.remove("127.0.0.1")
        await until(lambda: len(gateway._pool.addresses) == 1)
        assert await ask(4) == (0, 4)
        addresses.clear()  # the name server is down: what is known stays
        await asyncio.sleep(3 * POLL)
        assert await ask(2) == (0, 2)

    run(scene)


def test_a_drained_address_finishes_what_is_under_way(repository: Path, picture: bytes) -> None:
    addresses = ["127.0.0.1"]
    going, begun = asyncio.Event(), asyncio.Event()

    async def slow(question: Any, _call: Call) -> Any:
        begun.set()
        await going.wait()
        return answer(question)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    async def scene(world: World) -> None:
        server = await world.server(repository, slow)
        gateway = await world.gateway(f"grpc://models:{server.port}", resolve=resolve)
        asking = asyncio.create_task(scores(gateway.find(), picture))
        await begun.wait()
        addresses[0] = "127.0.0.2"
        await until(lambda: "127.0.0.2" in next(iter(gateway._pool.addresses)).name)
        going.set()
        assert await asking

    run(scene)


# Servers that come, go and fail


def answer(question: Any, **changes: Any) -> Any:
    """What a model server answers for one of the tiny models, or something like it."""
    n = question.inputs[0].shape[0]
    tensors = {
        "probabilities": np.full((n, 3), 1 / 3, np.float32),
        "embedding": np.zeros((n, 8), np.float32),
    } | changes
    made = message("inference.ModelInferResponse")(
        model_name=question.model_name, model_version=question.model_version
    )
    for name, values in tensors.items():
        if values is not None:
            kind = {"f": "FP32", "i": "INT32"}[values.dtype.kind]
            made.outputs.add(name=name, datatype=kind, shape=values.shape)
            made.raw_output_contents.append(values.tobytes())
    return made


def test_a_gateway_may_start_before_its_model_server(repository: Path, picture: bytes) -> None:
    port = free_port()

    async def scene(world: World) -> None:
        gateway = await world.gateway(f"grpc://127.0.0.1:{port}")
        assert not gateway.ready
        assert gateway.statuses() == {}
        with pytest.raises(OverloadedError):
            gateway.find()
        server = await world.server(repository, port=port)
        await until(lambda: gateway.ready, 2)
        assert await scores(gateway.find(), picture)
        await server.rpc.stop(None)
        await until(lambda: not gateway.ready, 3)
        assert gateway.find().version == "3"  # the page still says what it is
        assert gateway.statuses()["pets"][0].state == "loading"
        with pytest.raises(UpstreamError, match="cannot be reached"):
            await scores(gateway.find(), picture)
        server = await world.server(repository, port=port)
        await until(lambda: gateway.ready, 2)
        assert await scores(gateway.find(), picture)

    run(scene)


def test_a_server_that_hangs_drags_nobody_along(repository: Path, picture: bytes) -> None:
    patience = 3.6  # seconds; a busy machine takes some of them itself

    async def hang(_question: Any, _call: Call) -> Any:
        await asyncio.sleep(60)

    async def scene(world: World) -> None:
        hanging, good = await world.server(repository, hang), await world.server(repository)
        gateway = await world.gateway(hanging, good)

        async def ask() -> float:
            started = time.monotonic()
            await scores(gateway.find(), picture, patience)
            return time.monotonic() - started

        times = await asyncio.gather(*(ask() for _ in range(12)))
        slow = [seconds for seconds in times if seconds > 0.45 * patience]
        assert len(slow) <= 6  # half of the time was spent on the one that hangs
        assert world.workers.line.load == 0
        assert sorted([await ask() for _ in range(6)])[-1] < patience / 4  # it is left out

    run(scene)


def test_a_lone_server_that_hangs_is_an_error_in_time(repository: Path, picture: bytes) -> None:
    async def hang(_question: Any, _call: Call) -> Any:
        await asyncio.sleep(60)

    async def scene(world: World) -> None:
        gateway = await world.gateway(await world.server(repository, hang))
        started = time.monotonic()
        asked = [scores(gateway.find(), picture, 0.6) for _ in range(FAILURES)]
        for failure in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(failure, DeadlineError)
        assert time.monotonic() - started < 1.5
        assert not gateway.ready
        with pytest.raises(UpstreamError):  # at once
            await scores(gateway.find(), picture, 30)

    run(scene)


def test_a_circuit_that_opened_closes_again(repository: Path, picture: bytes) -> None:
    broken = True

    async def infer(question: Any, _call: Call) -> Any:
        return b"" if broken else answer(question)  # bytes are no message: INTERNAL

    async def scene(world: World) -> None:
        nonlocal broken
        gateway = await world.gateway(await world.server(repository, infer))
        for _ in range(FAILURES):
            with pytest.raises(UpstreamError, match="INTERNAL"):
                await scores(gateway.find(), picture)
        assert not gateway.ready
        broken = False
        await until(lambda: gateway.ready, SHORTEST + 1)
        assert await scores(gateway.find(), picture)

    run(scene)


GARBAGE: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"probabilities": None}, "no probabilities"),
    "no embedding": ({"embedding": None}, "no embedding"),
    "classes": ({"probabilities": np.full((1, 4), 0.25, np.float32)}, r"\[1, 4\]"),
    "pictures": ({"probabilities": np.full((2, 3), 1 / 3, np.float32)}, r"\[2, 3\]"),
    "rank": ({"probabilities": np.full(3, 1 / 3, np.float32)}, r"\[3\]"),
    "nan": ({"probabilities": np.full((1, 3), np.nan, np.float32)}, "no numbers"),
    "logits": ({"probabilities": np.full((1, 3), 7, np.float32)}, "add up"),
    "dtype": ({"probabilities": np.ones((1, 3), np.int32)}, "INT32"),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_is_named(repository: Path, picture: bytes, case: str) -> None:
    changes, words = GARBAGE[case]

    async def infer(question: Any, _call: Call) -> Any:
        return answer(question, **changes)

    async def scene(world: World) -> None:
        gateway = await world.gateway(await world.server(repository, infer))
        with pytest.raises(UpstreamError, match=words):
            await scores(gateway.find(), picture)

    run(scene)


def _too_short(made: Any) -> None:
    made.raw_output_contents[0] = made.raw_output_contents[0][:-2]


def _of_huge_shape(made: Any) -> None:
    made.outputs[0].shape[:] = [2**40, 2**40]


def _of_negative_shape(made: Any) -> None:
    made.outputs[0].shape[:] = [-1, -3]


def _without_contents(made: Any) -> None:
    del made.raw_output_contents[1]


def _of_another_version(made: Any) -> None:
    made.model_version = "4"


@pytest.mark.parametrize(
    "spoil",
    [_too_short, _of_huge_shape, _of_negative_shape, _without_contents, _of_another_version],
)
def test_a_spoilt_answer_is_an_upstream_error(
    repository: Path, picture: bytes, spoil: Callable[[Any], None]
) -> None:
    async def infer(question: Any, _call: Call) -> Any:
        made = answer(question)
        spoil(made)
        return made

    async def scene(world: World) -> None:
        gateway = await world.gateway(await world.server(repository, infer))
        with pytest.raises(UpstreamError, match="cannot be used"):
            await scores(gateway.find(), picture)

    run(scene)


def test_bytes_that_are_no_message_are_an_upstream_error(repository: Path, picture: bytes) -> None:
    class Noise:
        def SerializeToString(self) -> bytes:  # noqa: N802
            return b"\xff\xff\xff"

    async def infer(_question: Any, _call: Call) -> Any:
        return Noise()

    async def scene(world: World) -> None:
        gateway = await world.gateway(await world.server(repository, infer))
        with pytest.raises(UpstreamError, match=r"no inference\.ModelInferResponse"):
            await scores(gateway.find(), picture)

    run(scene)


def test_typed_contents_are_read_too(repository: Path, picture: bytes) -> None:
    async def infer(question: Any, _call: Call) -> Any:
        made = answer(question)
        for tensor, raw in zip(made.outputs, made.raw_output_contents, strict=True):
            tensor.contents.fp32_contents.extend(np.frombuffer(raw, np.float32).tolist())
        del made.raw_output_contents[:]
        return made

    async def scene(world: World) -> None:
        gateway = await world.gateway(await world.server(repository, infer))
        given = await scores(gateway.find(), picture)
        assert list(given.values()) == pytest.approx([1 / 3] * 3)

    run(scene)


def test_a_busy_server_s_work_goes_to_another_or_its_advice_is_passed_on(
    repository: Path, picture: bytes
) -> None:
    async def refuse(_question: Any, _call: Call) -> Any:
        raise OverloadedError("Busy.", retry_after=7)

    async def scene(world: World) -> None:
        busy = [await world.server(repository, refuse) for _ in range(3)]
        gateway = await world.gateway(*busy)
        with pytest.raises(OverloadedError) as caught:
            await scores(gateway.find(), picture)
        assert caught.value.retry_after == 7
        assert sum(s.answered("RESOURCE_EXHAUSTED") for s in busy) == 2  # once more, not thrice
        assert gateway.ready
        good = await world.server(repository)
        both = await world.gateway(busy[0], good)
        for _ in range(4):
            assert await scores(both.find(), picture)

    run(scene)


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "UNAUTHENTICATED"])
def test_what_another_server_would_say_too_is_not_asked_again(
    repository: Path, picture: bytes, status: str
) -> None:
    async def refuse(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode[status], "No.")
        raise AssertionError

    asked = 0

    async def counted(request: bytes, context: Any) -> bytes:
        nonlocal asked
        asked += 1
        return await refuse(request, context)

    async def scene(world: World) -> None:
        metrics = Metrics()
        catalog = FolderRepository(repository, Opener(world.workers, SETTINGS, metrics), metrics)
        await catalog.start()
        world.stack.push_async_callback(catalog.stop)
        infer = grpc.method_handlers_generic_handler(
            INFER, {"ModelInfer": grpc.unary_unary_rpc_method_handler(counted)}
        )
        services = [infer, model_folder.grpc_service(catalog, SETTINGS, metrics)]
        servers = [await world.listen(services) for _ in range(2)]
        gateway = await world.gateway(*servers)
        with pytest.raises(UpstreamError, match="No"):
            await scores(gateway.find(), picture)
        assert asked == 1
        assert gateway.ready

    run(scene)


# Versions


def test_a_version_swap_fails_no_request(
    repository: Path, picture: bytes, make_model: ModelMaker
) -> None:
    """The new version has other labels and another picture size, and takes the old one's place."""
    old, new = repository / "pets" / "3", repository / "pets" / "4"
    labels = ("ant", "bee", "fly")

    async def scene(world: World) -> None:
        gateway = await world.gateway(await world.server(repository), poll_seconds=60)
        another(make_model, new, labels, PreprocessSpec(SIDE + 4, SIDE))
        right = {"3": expected(old, picture), "4": expected(new, picture)}
        seen = set()

        async def ask_on() -> None:
            for _ in range(400):
                servable = gateway.find()
                given = await scores(servable, picture)
                assert given == pytest.approx(right[servable.version])
                seen.add(servable.version)
                if servable.version == "4":
                    return
                await asyncio.sleep(0.005)

        await asyncio.gather(*(ask_on() for _ in range(4)))
        assert seen == {"3", "4"}
        assert gateway.find().version == "4"

    run(scene)


def test_a_version_asked_for_by_number_is_never_another(
    repository: Path, picture: bytes, make_model: ModelMaker
) -> None:
    async def scene(world: World) -> None:
        server = await world.server(repository)
        gateway = await world.gateway(server, poll_seconds=60)
        third = gateway.find("pets", "3")
        make_model(repository / "pets" / "4", seed=1)
        await until(lambda: server.catalog.find().version == "4")
        with pytest.raises(UnknownModelError):
            await scores(third, picture)
        with pytest.raises(UnknownModelError):
            gateway.find("pets", "3")
        assert gateway.find("pets", "4")

    run(scene)


def test_a_rollout_with_a_version_on_each_of_two_servers(
    repository: Path, tmp_path: Path, picture: bytes, make_model: ModelMaker
) -> None:
    make_model(tmp_path / "newer" / "pets" / "4", seed=1)
    right = {
        "3": expected(repository / "pets" / "3", picture),
        "4": expected(tmp_path / "newer" / "pets" / "4", picture),
    }

    async def scene(world: World) -> None:
        servers = await world.server(repository), await world.server(tmp_path / "newer")
        gateway = await world.gateway(*servers)
        seen = []
        for _ in range(6):
            servable = gateway.find()
            assert await scores(servable, picture) == pytest.approx(right[servable.version])
            seen.append(servable.version)
        assert sorted(seen) == ["3"] * 3 + ["4"] * 3  # both machines work
        fourth = gateway.find("pets", "4")
        held = [gateway.find(), gateway.find()]
        await servers[1].rpc.stop(None)
        for servable in held:  # one of them was to be answered by the server that is gone
            assert await scores(servable, picture) == pytest.approx(right["3"])
        with pytest.raises(UpstreamError):
            await scores(fourth, picture)

    run(scene)


def test_a_batch_is_not_answered_by_two_versions(
    repository: Path, tmp_path: Path, picture: bytes, make_model: ModelMaker
) -> None:
    make_model(tmp_path / "newer" / "pets" / "4", seed=1)
    asked = 0

    async def once(question: Any, _call: Call) -> Any:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise UnknownModelError("It has just gone.")
        return answer(question)

    async def scene(world: World) -> None:
        servers = await world.server(repository, once), await world.server(tmp_path / "newer")
        gateway = await world.gateway(*servers)
        latest = [gateway.find(), gateway.find()]
        servable = next(s for s in latest if s.version == "3")
        with pytest.raises(OverloadedError, match="replaced"):
            await run_encoded(servable, [picture] * 3, soon(), SETTINGS.queue)

    run(scene)


def test_one_number_for_two_models_is_no_confusion(
    repository: Path, tmp_path: Path, picture: bytes, make_model: ModelMaker
) -> None:
    labels = ("ant", "bee", "fly")
    another(make_model, tmp_path / "other" / "pets" / "3", labels, PreprocessSpec(SIDE, SIDE))
    right = [
        expected(repository / "pets" / "3", picture),
        expected(tmp_path / "other" / "pets" / "3", picture),
    ]

    async def scene(world: World) -> None:
        gateway = await world.gateway(
            await world.server(repository), await world.server(tmp_path / "other")
        )
        for _ in range(4):
            servable = gateway.find()
            given = await scores(servable, picture)
            assert given == pytest.approx(right[servable.info.labels == labels])

    run(scene)


def test_a_new_version_is_taken_up_without_being_asked(
    repository: Path, make_model: ModelMaker
) -> None:
    async def scene(world: World) -> None:
        gateway = await world.gateway(await world.server(repository))
        make_model(repository / "pets" / "4", seed=1)
        await until(lambda: gateway.find().version == "4")
        text = world.metrics.text().decode()
        assert 'discern_model_info{model="pets",version="4"} 1.0' in text
        assert 'discern_model_info{model="pets",version="3"}' not in text

    run(scene)


def test_of_several_models_one_is_named(repository: Path, make_model: ModelMaker) -> None:
    make_model(repository / "cars" / "1")

    async def scene(world: World) -> None:
        server = await world.server(repository)
        with pytest.raises(ConfigError, match=r"cars, pets\..*--name"):
            await world.gateway(server)
        gateway = await world.gateway(server, name="cars")
        assert (gateway.find().name, gateway.find().version) == ("cars", "1")
        waiting = await world.gateway(server, name="birds")
        assert not waiting.ready
        make_model(repository / "birds" / "1")
        await until(lambda: waiting.ready)

    run(scene)


# Servers that are not discern's


def test_other_servers_need_the_model_s_folder(repository: Path, picture: bytes) -> None:
    folder = repository / "pets" / "3"

    async def scene(world: World) -> None:
        with pytest.raises(ConfigError, match="--model"):
            await world.gateway("tf-serving://127.0.0.1:1")
        own = await world.server(repository)
        catalog = own.catalog
        foreign = await world.listen(
            [open_inference_grpc.grpc_service(catalog, lambda: True, SETTINGS, Metrics())]
        )
        with pytest.raises(ConfigError, match="--model"):
            await world.gateway(foreign)
        gateway = await world.gateway(foreign, model=folder)
        assert gateway.find().version == "3"
        assert await scores(gateway.find(), picture) == pytest.approx(expected(folder, picture))
        assert await gateway.find().file("report.html") == b"<h1>Report</h1>"
        assert await gateway.find().file("model.onnx") is None
        unknown = await world.gateway(foreign, model=folder, name="birds")
        assert not unknown.ready

    run(scene)


def test_tensorflow_serving_is_spoken(repository: Path, picture: bytes) -> None:
    folder = repository / "pets" / "3"

    async def scene(world: World) -> None:
        own = await world.server(repository)
        services = tensorflow_grpc.grpc_services(own.catalog, SETTINGS, Metrics())
        server = await world.listen(services)
        gateway = await world.gateway(f"tf-serving://127.0.0.1:{server.port}", model=folder)
        assert gateway.ready
        assert await scores(gateway.find(), picture) == pytest.approx(expected(folder, picture))
        outputs = await gateway.find().pixels(PIXELS, soon())
        assert outputs["probabilities"].shape == (2, 3)
        assert set(outputs) == {"probabilities"}  # the default signature has no more

    run(scene)


def test_a_folder_that_is_not_the_upstream_s_model_is_noticed(
    repository: Path, picture: bytes
) -> None:
    async def ready(_question: Any, _call: Call) -> Any:
        return message("inference.ModelReadyResponse")(ready=True)

    async def infer(question: Any, _call: Call) -> Any:
        assert (question.model_name, question.model_version) == ("pets", "")
        return answer(question, probabilities=np.ones((1, 1), np.float32))

    async def scene(world: World) -> None:
        handlers = {"ModelReady": ready, "ModelInfer": infer}
        server = await world.listen([service(INFER, handlers, SETTINGS, Metrics())])
        gateway = await world.gateway(server, model=repository / "pets" / "3")
        with pytest.raises(UpstreamError, match=r"\[1, 1\], the model's is \[1, 3\]"):
            await scores(gateway.find(), picture)

    run(scene)


# TLS


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_tls_is_verified_for_the_upstream_s_name(repository: Path, tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"]
    command += ["ec_paramgen_curve:P-256", "-subj", "/CN=test", "-keyout", "key.pem"]
    command += ["-addext", "subjectAltName=DNS:models.example", "-out", "cert.pem"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    script = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import grpc
from test_gateway import run

async def scene(world):
    pair = Path("key.pem").read_bytes(), Path("cert.pem").read_bytes()
    server = await world.server(
        Path({str(repository)!r}), credentials=grpc.ssl_server_credentials([pair])
    )
    async def resolve(host, port):
        return ["127.0.0.1"]
    for host in ("models.example", "other.example"):
        gateway = await world.gateway(f"grpcs://{{host}}:{{server.port}}", resolve=resolve)
        print(host, gateway.ready)

run(scene)
"""
    # gRPC reads this variable once in a process.
    env = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(tmp_path / "cert.pem")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=env
    )
    assert done.stdout.splitlines() == ["models.example True", "other.example False"], done.stderr


# Processes


MODEL_SERVER = """
import asyncio, sys
from pathlib import Path
from discern.serving.local import Opener
from discern.serving.metrics import Metrics
from discern.serving.protocols import model_folder, open_inference_grpc
from discern.serving.protocols.grpc_server import create_grpc_server
from discern.serving.repository import FolderRepository
from discern.serving.settings import ServeSettings
from discern.serving.workers import Workers

async def main():
    metrics, settings = Metrics(), ServeSettings()
    opener = Opener(Workers(1, 40), settings, metrics)
    catalog = FolderRepository(Path(sys.argv[1]), opener, metrics)
    await catalog.start()
    server = create_grpc_server(
        [
            model_folder.grpc_service(catalog, settings, metrics),
            open_inference_grpc.grpc_service(catalog, lambda: True, settings, metrics),
        ],
        settings,
    )
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()

asyncio.run(main())
"""


def test_killing_one_of_two_servers_under_load_fails_nothing(
    repository: Path, picture: bytes
) -> None:
    command = [sys.executable, "-c", MODEL_SERVER, str(repository)]
    servers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    failures: list[str] = []
    answered = 0

    async def scene(world: World) -> None:
        ports = [int(server.stdout.readline()) for server in servers if server.stdout]
        gateway = await world.gateway(*(f"grpc://127.0.0.1:{port}" for port in ports))
        ends = soon(1.5)

        async def ask_on() -> None:
            nonlocal answered
            while time.monotonic() < ends:
                try:
                    await scores(gateway.find(), picture)
                    answered += 1
                except Exception as exc:
                    failures.append(repr(exc))

        asking = [asyncio.create_task(ask_on()) for _ in range(8)]
        await asyncio.sleep(0.3)
        servers[0].send_signal(signal.SIGKILL)
        await asyncio.gather(*asking)
        assert gateway.ready

    try:
        run(scene)
    finally:
        for server in servers:
            server.kill()
            server.communicate()
    assert failures == []
    assert answered > 20


def test_a_gateway_process_has_no_engine_and_little_memory() -> None:
    script = """
import asyncio, sys
import discern.cli.gateway
from discern.serving.app import build_app, make_parts
from discern.serving.app import build_app, close, make_parts
from discern.serving.gateway import UpstreamCatalog
from discern.serving.settings import ServeSettings
import uvicorn, uvloop

async def main():
    settings = ServeSettings()
    parts = make_parts(settings)
    catalog = UpstreamCatalog(["grpc://127.0.0.1:1"], parts.workers, settings, parts.metrics)
    app = build_app(catalog, parts)
    await catalog.start()
    await catalog.stop()
    rooms = {name.partition(".")[0] for name in sys.modules}
    assert not rooms & {"onnxruntime", "openvino", "torch", "onnx"}, rooms
    resident = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    print(int(resident.split()[1]) // 1024)

uvloop.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 120


# The circuit breaker


def test_a_circuit_opens_for_longer_each_time_and_lets_one_through() -> None:
    now = 0.0
    circuit = Circuit("there", lambda: now)
    for _ in range(FAILURES - 1):
        circuit.failed(circuit.begin(), "silent")
    assert circuit.admits
    circuit.answered()
    for _ in range(FAILURES + 5):  # the last were under way when it opened
        circuit.failed(False, "silent")
    for seconds in (SHORTEST, 2 * SHORTEST, 4 * SHORTEST, 8 * SHORTEST, 16 * SHORTEST):
        assert not circuit.admits
        now += seconds - 0.01
        assert not circuit.admits
        now += 0.01
        assert circuit.admits
        trial = circuit.begin()
        assert trial
        assert not circuit.admits  # one at a time
        circuit.failed(trial, "silent")
    for _ in range(4):
        now += LONGEST
        assert circuit.admits
        circuit.failed(circuit.begin(), "silent")
    now += LONGEST
    trial = circuit.begin()
    circuit.abandoned(trial)  # its client hung up
    assert circuit.admits
    circuit.begin()
    circuit.answered()
    assert circuit.admits
    assert not circuit.is_open


def test_looks_open_a_circuit_and_close_it() -> None:
    now = 0.0
    circuit = Circuit("there", lambda: now)
    for _ in range(FAILURES):
        circuit.missed("refused")
    assert not circuit.admits
    now += 10 * LONGEST
    assert not circuit.admits  # nobody is sent where nobody answers
    circuit.seen()
    assert circuit.admits
    for _ in range(FAILURES):
        circuit.failed(False, "silent")
    circuit.seen()  # it answers looks, but not requests
    assert not circuit.admits
