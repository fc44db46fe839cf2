"""Which engine and precision run a graph fastest here, measured once and remembered."""

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from discern.config import cache_dir
from discern.errors import EngineError
from discern.runtime import machine
from discern.runtime.engine import Engine, Goal, Images, Outputs, create_engine

PROBABILITY_TOLERANCE = 0.02  # |Δp| that bf16 may differ from f32 by on any reference picture
COSINE_TOLERANCE = 1e-3  # and 1 - cosine of embeddings, where a graph gives no probabilities
ROUNDS, SECONDS = 3, 0.25  # per candidate; rounds are interleaved so that noise hits all alike


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
    much it does not.
    """
    if precision == "bf16":
        return _agreeing(graph, "openvino" if engine == "auto" else engine, goal, sample)
    if engine != "openvino" and _on_gpu(device):
        return create_engine(graph, "onnxruntime", "f32", goal=goal, device="cuda")
    candidates = _candidates(engine, precision)
    choice = remembered(graph, candidates)
    if choice is None and sample is not None and len(candidates) > 1:
        choice = measure(graph, sample, candidates)
    name, kind = (choice.engine, choice.precision) if choice else candidates[0]
    return create_engine(graph, name, kind, goal=goal, device="cpu")


def agree(expected: Outputs, actual: Outputs) -> bool:
    """Whether two engines' outputs for the same pictures count as the same answers."""
    return disagreement(expected, actual) is None


def disagreement(expected: Outputs, actual: Outputs) -> str | None:
    """How two engines' outputs differ by more than the tolerances, in words; None if they agree."""
    if "probabilities" in expected:
        p, q = expected["probabilities"], actual["probabilities"]
        worst = float(np.abs(p - q).max())
        changed = int((p.argmax(1) != q.argmax(1)).sum())
        wrong = changed or not worst <= PROBABILITY_TOLERANCE
        return f"{changed} of {len(p)} labels change, |Δp| up to {worst:.3f}" if wrong else None
    a, b = expected["embedding"], actual["embedding"]
    cosine = (a * b).sum(1) / np.maximum(
        np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9
    )
    apart = float(1 - cosine.min())
    return f"embeddings differ, 1 - cosine up to {apart:.4f}" if apart > COSINE_TOLERANCE else None


def remembered(graph: Path, candidates: list[tuple[str, str]]) -> Choice | None:
    """The kept measurement for this graph on this machine, if it covers these candidates."""
    try:
        choice = Choice(**json.loads(_record(graph, candidates).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return choice if (choice.engine, choice.precision) in candidates else None


def measure(graph: Path, sample: Images, candidates: list[tuple[str, str]]) -> Choice:
    """Run every candidate that agrees with f32 on `sample`, keep the fastest, remember it."""
    engines = {pair: create_engine(graph, *pair) for pair in candidates}
    expected = engines[candidates[0]].run(sample)
    engines = {
        pair: engine
        for pair, engine in engines.items()
        if pair[1] == "f32" or agree(expected, engine.run(sample))
    }
    rates = dict.fromkeys(engines, 0.0)
    for _ in range(ROUNDS):
        for pair, engine in engines.items():
            rates[pair] = max(rates[pair], _rate(engine, sample))
    best = max(rates, key=lambda pair: rates[pair])
    choice = Choice(*best, {" ".join(pair): round(rate, 1) for pair, rate in rates.items()})
    _remember(_record(graph, candidates), choice)
    return choice


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


def _candidates(engine: str, precision: str) -> list[tuple[str, str]]:
    """Pairs to choose from, the reference (f32) first."""
    from discern.runtime import openvino_runtime

    pairs = [("onnxruntime", "f32")]
    if openvino_runtime.installed():
        pairs.append(("openvino", "f32"))
        if openvino_runtime.has_bf16():
            pairs.append(("openvino", "bf16"))
    fitting = [p for p in pairs if engine in ("auto", p[0]) and precision in ("auto", p[1])]
    if not fitting:
        raise EngineError(
            f"No engine here runs {engine} at {precision}. "
            f"Here: {', '.join(' '.join(p) for p in pairs)}. "
            "OpenVINO: pip install 'discern[openvino]'."
        )
    return fitting


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


def _on_gpu(device: str) -> bool:
    if device == "cpu":
        return False
    import onnxruntime

    return device == "cuda" or "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _record(graph: Path, candidates: list[tuple[str, str]]) -> Path:
    key = hashlib.sha256(graph.read_bytes() + repr(candidates).encode()).hexdigest()[:16]
    return cache_dir() / "engines" / f"{key}-{machine.fingerprint()}.json"


def _remember(path: Path, choice: Choice) -> None:
    """Keep the choice; a cache that cannot be written costs the next run a measurement, no more."""
    part = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(asdict(choice)), encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
