"""A repository that is followed: what is there, wanted, new, broken, replaced, gone."""

import asyncio
import gc
import logging
import os
import shutil
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from discern.config import read_settings
from discern.errors import ConfigError, ModelError, OverloadedError, UnknownModelError
from discern.serving.catalog import VersionStatus
from discern.serving.local import LocalServable, ModelSettings, Opener
from discern.serving.metrics import Metrics
from discern.serving.repository import FolderRepository
from discern.serving.settings import ServeSettings
from discern.serving.versions import scan, stamp_of, version_number, with_vanished
from discern.serving.workers import Workers

POLL = 0.02


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def opener(metrics: Metrics) -> Iterator[Opener]:
    workers = Workers(2, 64, metrics.waited)
    yield Opener(workers, ServeSettings(), metrics)
    workers.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def model(make_model, tmp_path: Path) -> Path:
    """One to be copied: making them anew costs more."""
    return make_model(tmp_path / "made")


@pytest.fixture
def put(model: Path) -> Callable[[Path], Path]:
    """Put a version into the repository, in one step as `discern train` does."""

    def put(folder: Path, source: Path = model) -> Path:
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = folder.with_name(f".{folder.name}.saving")
        shutil.copytree(source, stage)
        if folder.exists():
            folder.rename(folder.with_name(f".{folder.name}.replaced"))
        stage.rename(folder)
        shutil.rmtree(folder.with_name(f".{folder.name}.replaced"), ignore_errors=True)
        return folder

    return put


def damage(folder: Path) -> Path:
    (folder / "model.onnx").write_bytes(b"damaged")
    return folder


@pytest.fixture
def serving(root: Path, opener: Opener, metrics: Metrics):
    """`async with serving() as repository` follows the root while the block runs."""

    @asynccontextmanager
    async def serving() -> AsyncIterator[FolderRepository]:
        repository = FolderRepository(root, opener, metrics, POLL)
        await repository.start()
        try:
            yield repository
        finally:
            await repository.stop()

    return serving


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def looks(times: int = 4) -> None:
    """Long enough for some looks at the disk."""
    await asyncio.sleep(times * POLL + 0.05)


def states(repository: FolderRepository, name: str = "pets") -> dict[str, str]:
    return {status.version: status.state for status in repository.statuses().get(name, ())}


def run(scenario: Callable[[], object]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


# What is on disk


def test_versions_are_decimal_numbers() -> None:
    read = {name: version_number(name) for name in ("3", "003", "0", "-1", "1.5", "v1", "３", "")}
    assert read == {"3": 3, "003": 3, "0": 0} | dict.fromkeys(("-1", "1.5", "v1", "３", ""))


def test_only_complete_versions_are_seen(root: Path, put) -> None:
    put(root / "pets" / "1")
    put(root / "pets" / "0020")
    put(root / "pets" / ".3.saving")
    put(root / "pets" / "best")
    put(root / ".git" / "1")
    (put(root / "pets" / "4") / "model.json").unlink()
    (root / "pets" / "5").mkdir()
    (root / "pets" / "6").write_text("a file")
    (root / "pets" / "7").symlink_to("nowhere")
    (root / "notes.txt").write_text("no model")
    (root / "empty").mkdir()
    found = scan(root)
    assert {name: list(stock.sources) for name, stock in found.items()} == {
        "empty": [],
        "pets": [20, 1],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "latest"),
        ('versions = "all"', "all"),
        ('versions = "latest"', "latest"),
        ("versions = [3, 1]", (3, 1)),
        ("versions = []", ()),
    ],
)
def test_which_versions_are_wanted_is_a_word_or_a_list(
    tmp_path: Path, text: str, expected: object
) -> None:
    (tmp_path / "serving.toml").write_text(text)
    assert read_settings(ModelSettings, tmp_path / "serving.toml").versions == expected


@pytest.mark.parametrize("value", ['"newest"', "3", '["1"]', "[true]", "[1.5]"])
def test_other_versions_are_refused_in_words(tmp_path: Path, value: str) -> None:
    (tmp_path / "serving.toml").write_text(f"versions = {value}")
    with pytest.raises(ConfigError, match=r"versions is .*; expected 'latest', 'all' or tuple\."):
        read_settings(ModelSettings, tmp_path / "serving.toml")


def test_bad_settings_are_said_and_the_versions_still_seen(root: Path, put) -> None:
    put(root / "pets" / "1")
    (root / "pets" / "serving.toml").write_text('engin = "onnxruntime"')
    stock = scan(root)["pets"]
    assert list(stock.sources) == [1]
    assert "Did you mean 'engine'" in (stock.trouble or "")


def test_a_version_that_cannot_be_read_is_there_for_its_loading_to_say_why(root: Path, put) -> None:
    loop = put(root / "pets" / "1") / "loop"
    loop.symlink_to("loop")
    assert stamp_of(root / "pets" / "1") == ()
    assert list(scan(root)["pets"].sources) == [1]


def test_a_stamp_changes_with_any_file(root: Path, put) -> None:
    folder, stamps = put(root / "pets" / "1"), set()
    for name in ("model.json", "model.onnx", "reference/00.png"):
        stamps.add(stamp_of(folder))
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).write_bytes(data)
    stamps.add(stamp_of(folder))
    assert len(stamps) == 4


def test_what_is_missed_once_is_still_there(root: Path, put) -> None:
    put(root / "pets" / "1")
    put(root / "cars" / "1")
    first = scan(root)
    shutil.rmtree(root / "cars")
    (root / "pets" / "1").rename(root / "pets" / ".1.replaced")
    second = scan(root)
    assert {n: list(s.sources) for n, s in with_vanished(second, first).items()} == {
        "pets": [1],
        "cars": [1],
    }
    assert {n: list(s.sources) for n, s in with_vanished(second, second).items()} == {"pets": []}


# Starting


def test_all_models_are_served_at_their_latest(root: Path, put, serving, metrics: Metrics) -> None:
    for path in ("pets/1", "pets/2", "cars/7"):
        put(root / path)

    async def scenario() -> None:
        async with serving() as repository:
            assert repository.ready
            assert repository.find("pets").version == "2"
            assert repository.find("pets", "2") is repository.find("pets")
            assert repository.find("cars", "007").version == "7"
            assert repository.statuses() == {
                "cars": [VersionStatus("7", "available")],
                "pets": [VersionStatus("2", "available")],
            }
            with pytest.raises(UnknownModelError, match=r"Say which model: cars, pets\."):
                repository.find()
            with pytest.raises(UnknownModelError, match=r"no model 'dogs'\. Models: cars, pets\."):
                repository.find("dogs")
            for other in ("1", "latest", "", "９"):
                with pytest.raises(UnknownModelError, match="2 can be asked"):
                    repository.find("pets", other)
            assert b'discern_model_info{model="pets",version="2"} 1.0' in metrics.text()
        assert not repository.ready
        assert b"discern_model_info{" not in metrics.text()

    run(scenario)


def test_the_only_model_needs_no_name(root: Path, put, serving) -> None:
    put(root / "pets" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            assert repository.find().name == "pets"

    run(scenario)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda root: root.rmdir(), ConfigError, "cannot be read as a model repository"),
        (lambda _root: None, ConfigError, "has no models"),
        (lambda root: (root / "pets").mkdir(), ConfigError, "has no models"),
        (lambda root: root.rmdir() or root.write_text(""), ConfigError, "Not a directory"),
    ],
)
def test_nothing_to_serve_is_an_error_at_the_start(
    root: Path, serving, make, error: type[Exception], message: str
) -> None:
    make(root)
    before = threading.active_count()

    async def scenario() -> None:
        with pytest.raises(error, match=message):
            async with serving():
                pass
        await until(lambda: threading.active_count() <= before)

    run(scenario)


def test_only_broken_models_are_an_error_at_the_start(root: Path, put, serving) -> None:
    damage(put(root / "pets" / "1"))
    put(root / "cars" / "1")
    (root / "cars" / "serving.toml").write_text("versions = ")

    async def scenario() -> None:
        with pytest.raises(ModelError, match=r"no model can be served.*1 more failed"):
            async with serving():
                pass

    run(scenario)


def test_a_broken_model_among_good_ones_is_reported(
    root: Path, put, serving, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    damage(put(root / "pets" / "1"))
    put(root / "cars" / "1")
    put(root / "dogs" / "1")
    (root / "dogs" / "serving.toml").write_text("versions = ")

    async def scenario() -> None:
        async with serving() as repository:
            assert repository.find("cars").version == "1"
            assert not repository.ready
            for name in ("pets", "dogs"):
                with pytest.raises(UnknownModelError, match="could not be loaded"):
                    repository.find(name)
            (status,) = repository.statuses()["pets"]
            assert (status.version, status.state) == ("1", "end")
            assert "has changed since it was written" in (status.error or "")
            (status,) = repository.statuses()["dogs"]
            assert "is not valid TOML" in (status.error or "")
            await looks()
            (root / "dogs" / "serving.toml").unlink()
            put(root / "pets" / "1")
            await until(lambda: repository.ready)
            assert states(repository, "dogs") == {"1": "available"}

    run(scenario)
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(said) == 2, said
    assert any(line.startswith("pets 1: not taken: ") for line in said)
    assert b'discern_model_load_failures_total{model="pets"} 1.0' in metrics.text()


def test_while_models_load_they_are_not_unknown(root: Path, put, opener: Opener) -> None:
    put(root / "pets" / "1")
    put(root / "cars" / "1")
    gate = Gate(opener)

    async def scenario() -> None:
        repository = FolderRepository(root, gate, Metrics(), POLL)
        starting = asyncio.create_task(repository.start())
        with pytest.raises(OverloadedError):
            repository.find()
        await until(gate.entered.is_set)
        assert not repository.ready
        assert states(repository) == states(repository, "cars") == {"1": "loading"}
        for name, version in (("pets", None), ("cars", "1"), ("pets", "latest")):
            with pytest.raises(OverloadedError, match="being loaded"):
                repository.find(name, version)
        gate.open_now.set()
        await starting
        assert repository.ready
        await repository.stop()

    run(scenario)


class Gate:
    """An opener whose loads take until they are let through."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self.entered, self.open_now = threading.Event(), threading.Event()

    def open(self, name: str, version: str, folder: Path, how: ModelSettings) -> LocalServable:
        self.entered.set()
        assert self.open_now.wait(10)
        return self._opener.open(name, version, folder, how)


# Following


def test_a_new_version_takes_over_and_the_old_one_goes(
    root: Path, put, serving, metrics: Metrics
) -> None:
    put(root / "pets" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            old = repository.find()
            put(root / "pets" / "2")
            await until(lambda: repository.find().version == "2")
            await until(lambda: states(repository)["1"] == "unloading")
            with pytest.raises(UnknownModelError):
                repository.find("pets", "1")
            picture = (root / "pets" / "1" / "reference" / "00.png").read_bytes()
            assert "probabilities" in await old.picture(picture, time.monotonic() + 10)
            del old
            await until(lambda: states(repository) == {"2": "available"})
            assert b'version="1"} 1.0' not in metrics.text().split(b"discern_model_info")[-1]

    run(scenario)


def test_a_new_version_that_is_broken_changes_nothing_until_it_is_mended(
    root: Path, put, serving, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    put(root / "pets" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            shutil.copytree(put(root / "pets" / ".stage"), root / "pets" / ".broken")
            damage(root / "pets" / ".broken").rename(root / "pets" / "2")
            await until(lambda: states(repository) == {"1": "available", "2": "end"})
            assert repository.find().version == "1"
            assert repository.ready
            assert "has changed" in (repository.statuses()["pets"][1].error or "")
            await looks()
            put(root / "pets" / "2")
            await until(lambda: repository.find().version == "2")
            assert repository.statuses()["pets"][-1] == VersionStatus("2", "available")

    run(scenario)
    said = [r.getMessage() for r in caplog.records if "not taken" in r.getMessage()]
    assert len(said) == 1
    assert b'discern_model_load_failures_total{model="pets"} 1.0' in metrics.text()


def test_at_the_start_too_a_broken_latest_leaves_the_one_before(root: Path, put, serving) -> None:
    put(root / "pets" / "1")
    put(root / "pets" / "2")
    damage(put(root / "pets" / "3"))

    async def scenario() -> None:
        async with serving() as repository:
            assert repository.find().version == "2"
            assert states(repository) == {"2": "available", "3": "end"}
            assert repository.ready

    run(scenario)


def test_a_version_that_is_copied_file_by_file_is_served_when_complete(
    root: Path, put, model: Path, serving, caplog: pytest.LogCaptureFixture
) -> None:
    put(root / "pets" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            for path in sorted(p for p in model.rglob("*") if p.is_file()):
                target = root / "pets" / "2" / path.relative_to(model)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes()[:100])
                await asyncio.sleep(POLL)
                shutil.copyfile(path, target)
                assert repository.find().version in ("1", "2")
            await until(lambda: repository.find().version == "2")

    run(scenario)
    assert "Traceback" not in caplog.text


def test_a_version_replaced_in_place_is_loaded_anew(
    root: Path, put, make_model, tmp_path: Path, serving
) -> None:
    put(root / "pets" / "1")
    other = make_model(tmp_path / "other", seed=5)

    async def scenario() -> None:
        async with serving() as repository:
            old, picture = repository.find(), (other / "reference" / "00.png").read_bytes()
            put(root / "pets" / "1", other)
            await until(lambda: repository.find() is not old)
            assert states(repository) == {"1": "available"}
            before = await old.picture(picture, time.monotonic() + 10)
            after = await repository.find().picture(picture, time.monotonic() + 10)
            assert before["probabilities"].tolist() != after["probabilities"].tolist()

    run(scenario)


def test_a_version_replaced_by_a_broken_one_stays_as_it_was(root: Path, put, serving) -> None:
    put(root / "pets" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            old = repository.find()
            damage(root / "pets" / "1")
            await until(lambda: repository.statuses()["pets"][0].error)
            assert repository.find() is old
            assert states(repository) == {"1": "available"}

    run(scenario)


def test_what_changes_while_it_is_read_is_read_again(
    root: Path, put, opener: Opener, make_model, tmp_path: Path
) -> None:
    put(root / "pets" / "1")
    other = make_model(tmp_path / "other", seed=5)
    replaced = []

    class Race:
        def open(self, name: str, version: str, folder: Path, how: ModelSettings) -> LocalServable:
            servable = opener.open(name, version, folder, how)
            if not replaced:
                replaced.append(put(folder, other))
            return servable

    async def scenario() -> None:
        put(root / "cars" / "1")
        repository = FolderRepository(root, Race(), Metrics(), POLL)
        await repository.start()
        await until(lambda: repository.ready)
        assert repository.find(replaced[0].parent.name).files["reference/00.png"]
        await repository.stop()

    run(scenario)


def test_settings_are_taken_over_and_nonsense_is_not(
    root: Path, put, serving, caplog: pytest.LogCaptureFixture
) -> None:
    for number in "123":
        put(root / "pets" / number)
    toml = root / "pets" / "serving.toml"

    def available(repository: FolderRepository) -> set[str]:
        return {n for n, state in states(repository).items() if state == "available"}

    async def scenario() -> None:
        async with serving() as repository:
            assert available(repository) == {"3"}
            toml.write_text('versions = "all"')
            await until(lambda: available(repository) == {"1", "2", "3"})
            toml.write_text("versions = [2, 1, 9]")
            await until(lambda: available(repository) == {"1", "2"})
            assert repository.find().version == "2"
            toml.write_text("versions = [")
            await looks()
            assert available(repository) == {"1", "2"}
            before = repository.find()
            toml.write_text('versions = [2]\nengine = "magic"')
            await until(lambda: repository.statuses()["pets"][-1].error)
            assert repository.find() is before
            toml.write_text('versions = [2]\nengine = "onnxruntime"')
            await until(lambda: repository.find() is not before)
            await until(lambda: available(repository) == {"2"})
            toml.unlink()
            await until(lambda: available(repository) == {"3"})

    run(scenario)
    assert caplog.text.count("is not valid TOML") == 1
    assert caplog.text.count("Unknown engine 'magic'") == 1


def test_a_deleted_latest_version_gives_way_to_the_one_before(root: Path, put, serving) -> None:
    put(root / "pets" / "1")
    put(root / "pets" / "2")

    async def scenario() -> None:
        async with serving() as repository:
            shutil.rmtree(root / "pets" / "2")
            await until(lambda: repository.find().version == "1")
            await until(lambda: states(repository) == {"1": "available"})

    run(scenario)


def test_the_last_version_stays_and_goes_with_its_model(root: Path, put, serving) -> None:
    put(root / "pets" / "1")
    put(root / "cars" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            shutil.rmtree(root / "pets" / "1")
            await looks()
            assert repository.find("pets").version == "1"
            shutil.rmtree(root / "pets")
            await until(lambda: "pets" not in repository.statuses())
            with pytest.raises(UnknownModelError):
                repository.find("pets")
            assert repository.ready
            assert repository.find().name == "cars"

    run(scenario)


@pytest.mark.parametrize("empty", [False, True])
def test_a_repository_that_disappears_is_served_on(
    root: Path, put, serving, empty: bool, caplog: pytest.LogCaptureFixture
) -> None:
    put(root / "pets" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            root.rename(root.with_name("elsewhere"))
            if empty:
                root.mkdir()
            await looks()
            assert repository.find().version == "1"
            assert repository.ready
            if empty:
                root.rmdir()
            root.with_name("elsewhere").rename(root)
            put(root / "pets" / "2")
            await until(lambda: repository.find().version == "2")

    run(scenario)
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) in (1, 2)


def test_a_new_model_does_not_take_the_others_out_of_service(root: Path, put, serving) -> None:
    put(root / "pets" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            damage(put(root / ".cars" / "1"))
            (root / ".cars").rename(root / "cars")
            await until(lambda: states(repository, "cars") == {"1": "end"})
            assert repository.ready
            shutil.rmtree(root / "cars")
            await until(lambda: "cars" not in repository.statuses())

    run(scenario)


def test_stopping_does_not_wait_for_a_load(root: Path, put, opener: Opener) -> None:
    put(root / "pets" / "1")
    gate = Gate(opener)
    gate.open_now.set()

    async def scenario() -> None:
        repository = FolderRepository(root, gate, Metrics(), POLL)
        await repository.start()
        gate.open_now.clear()
        gate.entered.clear()
        put(root / "pets" / "2")
        await until(gate.entered.is_set)
        start = time.monotonic()
        await repository.stop()
        assert time.monotonic() - start < 0.5
        assert repository.statuses() == {}
        await repository.stop()
        gate.open_now.set()

    run(scenario)


def test_stopping_ends_a_start_that_is_under_way(root: Path, put, opener: Opener) -> None:
    put(root / "pets" / "1")
    gate = Gate(opener)

    async def scenario() -> None:
        repository = FolderRepository(root, gate, Metrics(), POLL)
        starting = asyncio.create_task(repository.start())
        await until(gate.entered.is_set)
        await repository.stop()
        with pytest.raises(asyncio.CancelledError):
            await starting
        gate.open_now.set()

    run(scenario)


def test_nothing_keeps_an_old_servable(root: Path, put, serving) -> None:
    put(root / "pets" / "1")

    async def scenario() -> None:
        async with serving() as repository:
            await answer(repository)
            seen = weakref.ref(repository.find().engine)
            put(root / "pets" / "1")
            await until(lambda: seen() is None)

    gc.disable()
    try:
        run(scenario)
    finally:
        gc.enable()


async def answer(repository: FolderRepository) -> None:
    servable = repository.find()
    picture = servable.files["reference/00.png"]
    outputs = await servable.picture(picture, time.monotonic() + 20)
    assert outputs["probabilities"].shape == (3,)


def resident() -> float:
    """This process's memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_200_reloads_under_load_fail_no_request_and_keep_no_memory(
    root: Path, put, serving, metrics: Metrics
) -> None:
    put(root / "pets" / "1")

    async def ask_on(repository: FolderRepository, done: asyncio.Event) -> int:
        answered = 0
        while not done.is_set():
            await answer(repository)
            answered += 1
        return answered

    async def reload(repository: FolderRepository, times: int) -> None:
        for _ in range(times):
            old = weakref.ref(repository.find())
            put(root / "pets" / "1")
            await until(lambda old=old: old() is None)

    async def scenario() -> None:
        async with serving() as repository:
            done = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                clients = [group.create_task(ask_on(repository, done)) for _ in range(4)]
                await reload(repository, 100)
                half_way = resident()
                await reload(repository, 100)
                grown = resident() - half_way
                done.set()
            assert min(client.result() for client in clients) > 0
            assert grown < 8, f"{grown:.1f} MiB in 100 reloads"
        assert b'discern_model_load_failures_total{model="pets"} 0.0' in metrics.text()

    run(scenario)
