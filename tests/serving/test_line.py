"""The bounded line, the threads behind it, and batches: bounds hold, nobody gets another's."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discern.errors import DeadlineError, EngineError, OverloadedError
from discern.runtime.engine import Images, Metadata, Outputs
from discern.serving.batcher import Batcher
from discern.serving.line import Line
from discern.serving.workers import Workers


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@contextmanager
def workers(threads: int = 1, capacity: int = 4) -> Iterator[Workers]:
    made = Workers(threads, capacity)
    try:
        yield made
    finally:
        made.close()


@asynccontextmanager
async def busy(line: Line) -> AsyncIterator[None]:
    """Its only thread at work."""
    free, begun = threading.Event(), threading.Event()
    job = asyncio.create_task(line.ask(lambda: (begun.set(), free.wait(10)), soon()))
    await until(begun.is_set)
    try:
        yield
    finally:
        free.set()
        await job


def test_the_outcome_comes_back_and_the_place_is_free() -> None:
    with workers() as few:
        assert asyncio.run(few.run(lambda: 42, soon())) == 42
        assert few.line.load == 0


def test_what_the_work_raises_is_raised_even_a_timeout_of_its_own() -> None:
    def fail(error: Exception) -> None:
        raise error

    with workers() as few:
        for error in (EngineError("broken"), TimeoutError("a socket's"), MemoryError()):
            with pytest.raises(type(error)) as caught:
                asyncio.run(few.run(lambda error=error: fail(error), soon()))
            assert caught.value is error
        assert asyncio.run(few.run(lambda: 1, soon())) == 1
        assert few.line.load == 0


def test_a_full_line_refuses_at_once_and_takes_on_again() -> None:
    async def scenario(few: Workers) -> None:
        free = threading.Event()
        taken = [asyncio.create_task(few.run(free.wait, soon(), 2)) for _ in range(2)]
        await asyncio.sleep(0)
        assert few.line.full
        start = time.monotonic()
        with pytest.raises(OverloadedError) as caught:
            await few.run(lambda: None, soon())
        assert time.monotonic() - start < 0.1
        assert caught.value.retry_after > 0
        free.set()
        assert await asyncio.gather(*taken) == [True, True]
        assert await few.run(lambda: "again", soon()) == "again"

    with workers(capacity=4) as few:
        asyncio.run(scenario(few))


def test_a_request_larger_than_the_bound_is_taken_by_an_empty_line() -> None:
    with workers(capacity=4) as few:
        assert asyncio.run(few.run(lambda: "all", soon(), pictures=32)) == "all"


def test_a_deadline_that_has_passed_is_told_at_once_and_nothing_is_begun() -> None:
    begun = []
    with workers() as few:
        for late in (-1.0, 0.0):
            with pytest.raises(DeadlineError):
                asyncio.run(few.run(lambda: begun.append(1), soon(late)))
        assert asyncio.run(few.run(lambda: 1, soon())) == 1
    assert begun == []


def test_a_deadline_that_passes_in_the_line_frees_the_place_and_nothing_is_begun() -> None:
    async def scenario(few: Workers) -> None:
        begun = []
        async with busy(few.line):
            with pytest.raises(DeadlineError):
                await few.run(lambda: begun.append(1), soon(0.03))
            assert few.line.load == 1
        await few.run(lambda: None, soon())
        assert begun == []

    with workers() as few:
        asyncio.run(scenario(few))


def test_a_deadline_that_passes_during_the_work_is_told_but_the_place_is_still_taken() -> None:
    async def scenario(few: Workers) -> None:
        free = threading.Event()
        with pytest.raises(DeadlineError):
            await few.run(lambda: free.wait(10), soon(0.03))
        assert few.line.load == 1
        free.set()
        await until(lambda: few.line.load == 0)

    with workers() as few:
        asyncio.run(scenario(few))


def test_who_hangs_up_leaves_the_line_and_nothing_is_begun() -> None:
    async def scenario(few: Workers) -> None:
        begun = []
        async with busy(few.line):
            asked = asyncio.create_task(few.run(lambda: begun.append(1), soon()))
            await asyncio.sleep(0.01)
            assert few.line.load == 2
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert few.line.load == 1
        await few.run(lambda: None, soon())
        assert begun == []

    with workers() as few:
        asyncio.run(scenario(few))


def test_clients_that_hang_up_while_they_are_worked_for_pile_nothing_up() -> None:
    async def scenario(few: Workers) -> None:
        free, refused = threading.Event(), 0
        for _ in range(10):
            asked = asyncio.create_task(few.run(lambda: free.wait(10), soon()))
            await asyncio.sleep(0.01)
            asked.cancel()
            (outcome,) = await asyncio.gather(asked, return_exceptions=True)
            refused += isinstance(outcome, OverloadedError)
        assert few.line.load == 2
        assert refused == 8
        free.set()
        await until(lambda: few.line.load == 0)

    with workers(threads=2, capacity=2) as few:
        asyncio.run(scenario(few))


def test_first_come_first_served() -> None:
    async def scenario(few: Workers) -> list[int]:
        done: list[int] = []
        async with asyncio.TaskGroup() as group:
            for i in range(50):
                group.create_task(few.run(lambda i=i: done.append(i), soon()))
        return done

    with workers(capacity=50) as few:
        assert asyncio.run(scenario(few)) == list(range(50))


def test_how_long_each_stood_in_line_is_told_also_of_those_that_gave_up() -> None:
    waits: list[float] = []

    async def scenario(few: Workers) -> None:
        async with busy(few.line):
            with pytest.raises(DeadlineError):
                await few.run(lambda: None, soon(0.05))

    few = Workers(1, 4, waits.append)
    asyncio.run(scenario(few))
    few.close()
    assert len(waits) == 2
    assert waits[0] < 0.05 <= waits[1]


def test_closing_lets_what_was_taken_on_be_done_and_refuses_the_rest() -> None:
    before = threading.active_count()

    async def scenario(few: Workers) -> None:
        taken = [asyncio.create_task(few.run(lambda i=i: i, soon())) for i in range(4)]
        await asyncio.sleep(0)
        few.close()
        assert await asyncio.gather(*taken) == [0, 1, 2, 3]
        with pytest.raises(OverloadedError, match="stopping"):
            await few.run(lambda: None, soon())
        await until(lambda: threading.active_count() <= before)

    asyncio.run(scenario(Workers(2, 4)))


def test_a_loop_that_is_gone_does_not_stop_the_threads() -> None:
    free = threading.Event()

    async def leave(few: Workers) -> None:
        asyncio.ensure_future(few.run(free.wait, soon()))  # noqa: RUF006 - nobody waits for it
        await asyncio.sleep(0.02)

    with workers() as few:
        asyncio.run(leave(few))
        free.set()
        assert asyncio.run(few.run(lambda: "alive", soon())) == "alive"
        assert few.line.load == 0


class Thing:
    """Something that one can see being freed."""

    def refuse(self) -> None:
        raise EngineError("no")

    def answer(self) -> None: ...


@pytest.mark.parametrize("what", ["done", "failed", "expired", "cancelled"])
def test_nothing_of_a_request_is_kept_when_it_is_over(what: str) -> None:
    """Without the garbage collector: a picture may be 32 MB, and a model in memory is more."""

    async def ask(few: Workers) -> "weakref.ref[Thing]":
        thing = Thing()
        work = thing.refuse if what == "failed" else thing.answer
        asked = asyncio.create_task(few.run(work, soon(0.02 if what == "expired" else 20)))
        if what == "cancelled":
            asyncio.get_running_loop().call_soon(asked.cancel)
        await asyncio.wait([asked])
        assert asked.cancelled() or isinstance(
            asked.exception(), EngineError | DeadlineError | None
        )
        return weakref.ref(thing)

    async def scenario(few: Workers) -> None:
        if what in ("expired", "cancelled"):
            async with busy(few.line):
                seen = await ask(few)
        else:
            seen = await ask(few)
        await until(lambda: seen() is None)

    gc.disable()
    try:
        with workers() as few:
            asyncio.run(scenario(few))
    finally:
        gc.enable()


Plan = tuple[int, str]
plans = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(["done", "failed", "cancelled", "late"])),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(plans, st.integers(1, 3), st.integers(1, 8))
def test_whatever_happens_each_gets_its_own_and_the_bound_holds(
    requests: list[Plan], threads: int, capacity: int
) -> None:
    def work(i: int, fate: str) -> int:
        if fate == "failed":
            raise EngineError(str(i))
        return i

    async def ask(few: Workers, i: int, pictures: int, fate: str) -> object:
        when = soon(-1 if fate == "late" else 20)
        return await few.run(lambda: work(i, fate), when, pictures)

    async def scenario(few: Workers) -> list[object]:
        asked = []
        for i, (pictures, fate) in enumerate(requests):
            asked.append(asyncio.create_task(ask(few, i, pictures, fate)))
            await asyncio.sleep(0)
            assert 0 <= few.line.load < capacity + 5
            if fate == "cancelled":
                asked[-1].cancel()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        await until(lambda: few.line.load == 0)
        return list(outcomes)

    with workers(threads, capacity) as few:
        outcomes = asyncio.run(scenario(few))
    for i, ((_, fate), outcome) in enumerate(zip(requests, outcomes, strict=True)):
        expected = {
            "done": outcome == i,
            "failed": isinstance(outcome, EngineError) and str(outcome) == str(i),
            "late": isinstance(outcome, DeadlineError),
            "cancelled": isinstance(outcome, asyncio.CancelledError) or outcome == i,
        }
        assert expected[fate] or isinstance(outcome, OverloadedError)


class Eights:
    """An engine that wants batches of 8; each picture's answer is its first value."""

    name, precision, device, batch_size = "fake", "f32", "cuda", 8
    metadata_size = 1

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.free = threading.Event()
        self.free.set()

    def run(self, images: Images, metadata: Metadata | None = None) -> Outputs:
        assert self.free.wait(10)
        self.sizes.append(len(images))
        if (images[:, 0, 0, 0] == 255).any():
            raise EngineError("a picture that no engine likes")
        values = images[:, 0, 0, :1].astype(np.float32)
        return {"probabilities": values if metadata is None else values + metadata}


def images(*values: int) -> Images:
    """A picture of 2 x 2 for each value."""
    return np.tile(np.array(values, np.uint8)[:, None, None, None], (1, 2, 2, 3))


async def ask_all(batcher: Batcher, requests: list[Images]) -> list[object]:
    asked = (batcher.run(request, soon()) for request in requests)
    return list(await asyncio.gather(*asked, return_exceptions=True))


def answers(outcome: object) -> list[int]:
    assert isinstance(outcome, dict), outcome
    return [int(value) for value in outcome["probabilities"][:, 0]]


@contextmanager
def batching(engine: Eights, seconds: float = 5.0) -> Iterator[Batcher]:
    batcher = Batcher(engine, seconds)
    try:
        yield batcher
    finally:
        batcher.close()


def test_full_batches_do_not_wait() -> None:
    engine = Eights()
    with batching(engine, seconds=5) as batcher:
        start = time.monotonic()
        outcomes = asyncio.run(ask_all(batcher, [images(i) for i in range(16)]))
    assert time.monotonic() - start < 4
    assert engine.sizes == [8, 8]
    assert [answers(outcome) for outcome in outcomes] == [[i] for i in range(16)]


def test_a_batch_that_does_not_fill_waits_no_longer_than_it_may() -> None:
    engine, told = Eights(), []
    batcher = Batcher(engine, 0.05, batched=told.append)
    start = time.monotonic()
    asyncio.run(ask_all(batcher, [images(1), images(2), images(3)]))
    assert 0.05 <= time.monotonic() - start < 2
    batcher.close()
    assert engine.sizes == told == [3]


def test_what_has_waited_behind_a_batch_does_not_wait_for_company_again() -> None:
    async def scenario(batcher: Batcher, engine: Eights) -> float:
        engine.free.clear()
        first = asyncio.create_task(batcher.run(images(*range(8)), soon()))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(batcher.run(images(1), soon()))
        await asyncio.sleep(0.3)
        engine.free.set()
        await first
        start = time.monotonic()
        await second
        return time.monotonic() - start

    engine = Eights()
    with batching(engine, seconds=0.3) as batcher:
        assert asyncio.run(scenario(batcher, engine)) < 0.25


def test_more_pictures_than_a_batch_are_answered_in_order() -> None:
    with batching(Eights(), seconds=0) as batcher:
        (outcome,) = asyncio.run(ask_all(batcher, [images(*range(20))]))
    assert answers(outcome) == list(range(20))


def test_a_batch_that_fails_is_told_to_all_in_it_and_the_next_one_runs() -> None:
    engine = Eights()
    with batching(engine, seconds=0.05) as batcher:
        failed = asyncio.run(ask_all(batcher, [images(1), images(255), images(2)]))
        assert [str(error) for error in failed] == ["a picture that no engine likes"] * 3
        (outcome,) = asyncio.run(ask_all(batcher, [images(7)]))
        assert answers(outcome) == [7]
        assert batcher.line.load == 0


def test_what_is_known_beside_one_picture_is_not_taken_for_another() -> None:
    async def ask(batcher: Batcher) -> list[object]:
        facts = np.float32([[100], [200]])
        return await asyncio.gather(
            batcher.run(images(1), soon()),
            batcher.run(images(2, 3), soon(), facts),
            batcher.run(images(4), soon()),
        )

    engine = Eights()
    with batching(engine, seconds=0.05) as batcher:
        outcomes = asyncio.run(ask(batcher))
    assert engine.sizes == [4]
    assert [answers(outcome) for outcome in outcomes] == [[1], [102, 203], [4]]


def test_the_rest_of_what_was_taken_on_is_never_refused() -> None:
    async def scenario(few: Workers) -> list[object]:
        release = threading.Event()
        first = asyncio.create_task(few.run(release.wait, soon()))
        await until(lambda: few.line.load == 1)
        with pytest.raises(OverloadedError):
            await few.run(int, soon())
        rest = asyncio.create_task(few.run(lambda: "rest", soon(), pictures=0))
        await asyncio.sleep(0.01)
        release.set()
        return [await first, await rest]

    with workers(threads=1, capacity=1) as few:
        assert asyncio.run(scenario(few)) == [True, "rest"]


def test_more_than_a_few_batches_are_refused() -> None:
    engine = Eights()
    engine.free.clear()

    async def scenario(batcher: Batcher) -> list[object]:
        asking = asyncio.create_task(ask_all(batcher, [images(i) for i in range(40)]))
        await asyncio.sleep(0.02)
        engine.free.set()
        return await asking

    with batching(engine) as batcher:
        outcomes = asyncio.run(scenario(batcher))
    assert [isinstance(o, OverloadedError) for o in outcomes] == [False] * 32 + [True] * 8


def test_a_closed_batcher_ends_its_thread_and_keeps_no_engine() -> None:
    engine = Eights()
    seen, before = weakref.ref(engine), threading.active_count()
    batcher = Batcher(engine, 0.01)
    asyncio.run(ask_all(batcher, [images(1)]))
    batcher.close()
    del engine, batcher
    asyncio.run(until(lambda: seen() is None and threading.active_count() < before + 1))


def test_a_failed_batch_keeps_no_pictures() -> None:
    gc.disable()
    try:
        with batching(Eights(), seconds=0) as batcher:
            picture = images(255)
            asyncio.run(ask_all(batcher, [picture]))
            seen = weakref.ref(picture)
            del picture
            asyncio.run(until(lambda: seen() is None))
    finally:
        gc.enable()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.sampled_from([0.0, 0.002]))
def test_each_gets_its_own_rows(sizes: list[int], seconds: float) -> None:
    stops = np.cumsum(sizes)
    rows = [list(range(stop - size, stop)) for size, stop in zip(sizes, stops, strict=True)]
    with batching(Eights(), seconds) as batcher:
        outcomes = asyncio.run(ask_all(batcher, [images(*row) for row in rows]))
    taken = [o for o in outcomes if not isinstance(o, OverloadedError)]
    assert [answers(o) for o in taken] == rows[: len(taken)]
