"""What a model takes to run, measured: the requests and limits of its containers come from it."""

import json
import math
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from discern.errors import EngineError

if TYPE_CHECKING:
    from discern.model import Model


@dataclass(frozen=True)
class Footprint:
    """What one process with the model took on this machine, in ONNX Runtime."""

    memory_mib: int  # at most, with every core answering
    start_seconds: float  # from nothing to the first answer
    picture_ms: float  # of one core, from a picture's bytes to its answer


def measure_footprint(model: "Model") -> Footprint:
    """Load and run the model in a fresh process, for about three seconds."""
    command = [sys.executable, "-m", "discern.deploy.footprint", str(model.path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise EngineError(f"{model.path}: could not be run to measure it: {reason}")
    return Footprint(**json.loads(done.stdout))


def rounded_mib(mebibytes: float) -> int:
    """Up to the next 64 MiB: a figure that was measured once is no exact one."""
    return 64 * math.ceil(mebibytes / 64)


def _take(folder: str) -> Footprint:
    """Load and run the model in this process, which is for nothing else; imports count too."""
    started = time.perf_counter()
    import resource

    from discern.model import load
    from discern.runtime.speed import measure_speed

    model = load(folder)
    pictures = [reference.data for reference in model.references]
    predictor = model.predictor(engine="onnxruntime", precision="f32", device="cpu")
    list(predictor.predict(pictures[:1]))
    ready = time.perf_counter() - started
    speed = measure_speed(
        model.graph,
        model.info.preprocess,
        pictures,
        engine="onnxruntime",
        precision="f32",
        device="cpu",
    )
    return Footprint(
        memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        start_seconds=ready,
        picture_ms=1000 * speed.cores / speed.pictures_per_second,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(_take(sys.argv[1]))))
