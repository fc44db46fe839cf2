"""What a model takes to run, measured: the requests and limits of its containers come from it."""

import json
import subprocess
import sys
from dataclasses import dataclass

from discern.errors import EngineError
from discern.model import Model

# In a process of its own, so that nothing but the model counts.
_PROGRAM = """
import json, resource, sys, time
started = time.perf_counter()
from discern.model import load
from discern.runtime.speed import measure_speed
model = load(sys.argv[1])
how = {"engine": "onnxruntime", "precision": "f32", "device": "cpu"}
predictor = model.predictor(**how)
pictures = [reference.data for reference in model.references]
list(predictor.predict(pictures[:1]))
ready = time.perf_counter() - started
speed = measure_speed(model.graph, model.info.preprocess, pictures, **how)
print(json.dumps({
    "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "start_seconds": ready,
    "picture_ms": 1000 * speed.cores / speed.pictures_per_second,
}))
"""


@dataclass(frozen=True)
class Footprint:
    """What one process with the model took on this machine, in ONNX Runtime."""

    memory_mib: int  # at most, with every core answering
    start_seconds: float  # from nothing to the first answer
    picture_ms: float  # of one core, from a picture's bytes to its answer


def measure_footprint(model: Model) -> Footprint:
    """Load and run the model in a fresh process, for about three seconds."""
    command = [sys.executable, "-c", _PROGRAM, str(model.path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise EngineError(f"{model.path}: could not be run to measure it: {reason}")
    return Footprint(**json.loads(done.stdout))
