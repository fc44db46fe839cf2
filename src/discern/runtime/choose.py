"""Which engine and precision run a graph fastest here, measured once and remembered."""

import contextlib
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from discern.config import DEVICES, ENGINES, PRECISIONS, cache_dir
from discern.errors import EngineError
from discern.runtime import machine
from discern.runtime.engine import Engine, Goal, Images, Outputs, create_engine

PROBABILITY_TOLERANCE = 0.02  # |Δp| that bf16 may differ from f32 by on any reference picture
COSINE_TOLERANCE = 1e-3  # and 1 - cosine of embeddings, where a graph gives no probabilities
ROUNDS, SECONDS = 3, 0.25  # per candidate; rounds are interleaved so that noise hits all alike

Candidate = tuple[str, str]  # an engine and its precision


@dataclass(frozen=True)
class Choice:
    """An engine, its precision, and the pictures a second that each candidate reached."""

    engine: str
    precision: str
    rates: dict[str, float]


def open_engine(
    graph: Path,
    *,
    sample: Images | None = None,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    goal: Goal = "throughput",
) -> Engine:
    """The engine asked for, or for `auto` the fastest known on this machine.

    With a `sample` of real pictures, uint8 [n, H, W, 3], `auto` measures if it has not before;
    without one it takes ONNX Runtime unless a measurement is kept. A bf16 engine is only
    given where it agrees with f32 on the sample; asked for by name, EngineError says by how
    much it does not. EngineError too for a name that is unknown, or not to be had here.
    """
    if _on_gpu(device, engine, precision):
        return create_engine(graph, "onnxruntime", goal=goal, device="cuda")
    if precision == "bf16":
        return _agreeing(graph, "openvino" if engine == "auto" else engine, goal, sample)
    if "auto" not in (engine, precision):
        return create_engine(graph, engine, precision, goal=goal)
    choice = remembered(graph, engine, precision)
    if choice is None and sample is not None:
        choice = _measured(graph, sample, engine, precision)
    if choice is not None:
        return create_engine(graph, choice.engine, choice.precision, goal=goal)
    name = "onnxruntime" if engine == "auto" else engine
    return create_engine(graph, name, "f32" if precision == "auto" else precision, goal=goal)


def agree(expected: Outputs, actual: Outputs) -> bool:
    """Whether two engines' outputs for the same pictures count as the same answers."""
    return disagreement(expected, actual) is None


def disagreement(expected: Outputs, actual: Outputs) -> str | None:
    """How two engines' outputs differ by more than the tolerances, in words; None if they agree."""
    if "probabilities" in expected:
        p, q = expected["probabilities"], actual["probabilities"]
        worst = float(np.abs(p - q).max())
        changed = int((p.argmax(1) != q.argmax(1)).sum())
        wrong = changed or not worst <= PROBABILITY_TOLERANCE  # also where it is no number
        return f"{changed} of {len(p)} labels change, |Δp| up to {worst:.3f}" if wrong else None
    a, b = expected["embedding"], actual["embedding"]
    cosine = (a * b).sum(1) / np.maximum(
        np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9
    )
    apart = float(1 - cosine.min())
    wrong = not apart <= COSINE_TOLERANCE  # also where it is no number
    return f"embeddings differ, 1 - cosine up to {apart:.4f}" if wrong else None


def remembered(graph: Path, engine: str, precision: str) -> Choice | None:
    """The measurement kept for this graph, on this machine, for what was asked."""
    try:
        record = _record(graph, engine, precision).read_text(encoding="utf-8")
        choice = Choice(**json.loads(record))
    except (OSError, ValueError, TypeError):
        return None
    return choice if choice.engine in ENGINES and choice.precision in PRECISIONS else None


def measure(graph: Path, sample: Images, candidates: list[Candidate]) -> Choice:
    """The fastest of the engines that can run the graph and agree on `sample` with the first.

    Raises EngineError if none can.
    """
    engines = _agreeing_engines(graph, sample, candidates)
    rates = dict.fromkeys(engines, 0.0)
    for _ in range(ROUNDS):
        for pair, engine in engines.items():
            rates[pair] = max(rates[pair], _rate(engine, sample))
    best = max(rates, key=lambda pair: rates[pair])
    return Choice(*best, {" ".join(pair): round(rate, 1) for pair, rate in rates.items()})


def _agreeing_engines(
    graph: Path, sample: Images, candidates: list[Candidate]
) -> dict[Candidate, Engine]:
    """The candidates loaded, but for those that fail or disagree with the first that does not."""
    engines: dict[Candidate, Engine] = {}
    expected: Outputs | None = None
    failure: EngineError | None = None
    for pair in candidates:
        try:
            engine = create_engine(graph, *pair)
            outputs = engine.run(sample)
        except EngineError as exc:
            failure = exc
            continue
        if expected is None or agree(expected, outputs):
            engines[pair] = engine
        expected = outputs if expected is None else expected
    if not engines and failure is not None:
        raise failure
    return engines


def _rate(engine: Engine, sample: Images) -> float:
    """Pictures a second with every core calling."""
    deadline = time.perf_counter() + SECONDS

    def work(_worker: int) -> int:
        done = 0
        while time.perf_counter() < deadline:
            engine.run(sample[done % len(sample)][None])
            done += 1
        return done

    start, workers = time.perf_counter(), machine.cores()
    with ThreadPoolExecutor(workers) as pool:
        done = sum(pool.map(work, range(workers)))
    return done / (time.perf_counter() - start)


def _measured(graph: Path, sample: Images, engine: str, precision: str) -> Choice | None:
    """Measure what fits the names asked for, and remember it; None if there is no choice."""
    fitting = [
        pair
        for pair in _candidates()
        if engine in ("auto", pair[0]) and precision in ("auto", pair[1])
    ]
    if len(fitting) < 2:
        return None
    choice = measure(graph, sample, fitting)
    _remember(_record(graph, engine, precision), choice)
    return choice


def _candidates() -> list[Candidate]:
    """What there is to choose from on this machine, the reference (f32) first."""
    from discern.runtime import openvino_runtime

    pairs = [("onnxruntime", "f32")]
    if openvino_runtime.installed():
        pairs.append(("openvino", "f32"))
        if openvino_runtime.has_bf16():
            pairs.append(("openvino", "bf16"))
    return pairs


def _agreeing(graph: Path, engine: str, goal: Goal, sample: Images | None) -> Engine:
    """The named engine at bf16, refused where it disagrees with f32 on the sample."""
    opened = create_engine(graph, engine, "bf16", goal=goal)
    if sample is not None:
        expected = create_engine(graph, "onnxruntime").run(sample)
        if difference := disagreement(expected, opened.run(sample)):
            raise EngineError(
                f"bf16 does not agree with f32 on the reference pictures: {difference}.\n"
                "Use --precision f32 or auto."
            )
    return opened


def _on_gpu(device: str, engine: str, precision: str) -> bool:
    """Whether to use a CUDA card: asked for, or there and nothing asked for that it cannot do."""
    if device not in DEVICES:
        raise EngineError(f"Unknown device {device!r}. Devices: {', '.join(DEVICES)}.")
    fits = engine in ("auto", "onnxruntime") and precision in ("auto", "f32")
    if device == "cuda" and not fits:
        raise EngineError(
            f"A CUDA card runs ONNX Runtime at f32, not {engine} at {precision}. "
            "Leave out --engine and --precision, or use --device cpu."
        )
    return device == "cuda" or (device == "auto" and fits and _has_cuda())


def _has_cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _record(graph: Path, engine: str, precision: str) -> Path:
    """Where a measurement is kept. Named by what was asked, not by what there was to choose from:
    finding that out would load OpenVINO, which costs as much time as a prediction."""
    key = hashlib.sha256(graph.read_bytes() + f"{engine} {precision}".encode()).hexdigest()[:16]
    return cache_dir() / "engines" / f"{key}-{machine.fingerprint()}.json"


def _remember(path: Path, choice: Choice) -> None:
    """Keep the choice; a cache that cannot be written costs the next run a measurement, no more."""
    part = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(asdict(choice)), encoding="utf-8")
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
