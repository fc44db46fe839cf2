"""A function behind Lambda's runtime client: 5,000 events, memory, latency, the cold start.

The runtime interface is the tests' stand-in. Latency is from an event's being handed out until its
answer comes back, by the plain predictor's time for the same picture in the same round.
"""

import base64
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from discern.model import load
from material import arguments, data_folder, fresh_cache
from serve import held_out, trained

sys.path.append(str(Path(__file__).parents[1] / "tests" / "serving"))
from lambda_runtime import Outcome, Runtime, function
from test_lambda_events import Sent, function_url, http_api, rest_api

LOOKS = (500, 2500, 5000)  # after so many events memory is looked at
PICTURES = 50
PRIVATE = "[fetch]\nprivate_addresses = true\n"
Kind = tuple[str, Any, str | int]  # its name, the event, what it should end in


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--model", type=Path, help="a model folder; trained if not given")
    parser.add_argument("--events", type=int, default=LOOKS[-1])
    parser.add_argument("--starts", type=int, default=7)
    options = parser.parse_args()
    with TemporaryDirectory() as scratch, fresh_cache():
        data = data_folder(options.data, Path(scratch) / "data")
        model = options.model or trained(Path(scratch) / "clothes", data, options.backbone)
        files = [path.resolve() for path in held_out(data)[:PICTURES]]
        config = Path(scratch) / "serve.toml"
        config.write_text(PRIVATE)
        environment = {"DISCERN_MODEL": str(model.resolve())}
        cold(environment, files[0], options.starts)
        spent(model)
        with (
            serving(data) as address,
            function(environment | {"DISCERN_CONFIG": str(config)}) as running,
        ):
            threading.Thread(target=lambda: [*running.process.stdout], daemon=True).start()
            running.ready.wait(60)
            warm(running, model, files)
            many(running, files, address, data.resolve(), options.events)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The pictures' own web server, on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def cold(environment: dict[str, str], picture: Path, starts: int) -> None:
    """From the process's start to its first `next`, and to its first answer."""
    event = {"image": base64.b64encode(picture.read_bytes()).decode()}
    found: list[tuple[float, float, float, float]] = []
    for i in range(starts + 1):
        with function(environment) as running:
            running.ready.wait(60)
            cpu = running.processor_seconds()
            first = running.invoke(event)
            if i:  # the first fills the disk's cache
                at = running.start_seconds
                found.append((at, at + first.seconds, running.resident(), cpu))
    ready, answered, memory, cpu_seconds = ([values[k] for values in found] for k in range(4))
    print(f"cold: first next     {median(ready):.2f} s  ({min(ready):.2f} to {max(ready):.2f})")
    print(f"cold: processor time {median(cpu_seconds):.2f} s until then")
    print(f"cold: first answer   {median(answered):.2f} s")
    print(f"cold: memory then    {max(memory):.0f} MB")


def spent(model: Path) -> None:
    """What a start is spent on: imports by their own seconds, then the model."""
    program = """
import asyncio, sys, time
from pathlib import Path
marks = [("", time.perf_counter())]
def mark(name): marks.append((name, time.perf_counter()))
from awslambdaric import bootstrap, lambda_runtime_client; mark("the runtime's client")
import asyncio; mark("asyncio")
import numpy; mark("NumPy")
import PIL.Image; mark("Pillow")
import fastapi; mark("FastAPI and pydantic")
import prometheus_client; mark("Prometheus' client")
import discern.serving.lambda_function as f; mark("discern")
import onnxruntime; mark("ONNX Runtime")
from discern.model import load
loaded = load(sys.argv[1]); mark("the files' hashes")
how = {"engine": "onnxruntime", "precision": "f32", "device": "cpu", "goal": "latency"}
predictor = loaded.predictor(**how); mark("the graph into ONNX Runtime")
list(predictor.predict([loaded.references[0].data])); mark("one reference picture")
function = f.Function(Path(sys.argv[1])); mark("all but imports, again")
print(*(f"{name}\\t{b - a}" for (_, a), (name, b) in zip(marks, marks[1:])), sep="\\n")
"""
    command = [sys.executable, "-c", program, str(model)]
    rows: dict[str, list[float]] = {}
    for _ in range(5):
        for line in subprocess.check_output(command, text=True).splitlines():
            name, seconds = line.split("\t")
            rows.setdefault(name, []).append(float(seconds))
    for name, values in rows.items():
        print(f"  {name:<32} {1000 * median(values):6.0f} ms")


def warm(running: Runtime, model: Path, files: list[Path], rounds: int = 6) -> None:
    """Events with a picture against the plain predictor, in turn, on the same pictures."""
    plain = load(model).predictor(
        engine="onnxruntime", precision="f32", device="cpu", goal="latency"
    )
    ours, floor = list[float](), list[float]()
    for i in range(rounds):
        for file in files:
            data = file.read_bytes()
            event = {"image": base64.b64encode(data).decode()}
            outcome = running.invoke(event)
            started = time.perf_counter()
            (prediction,) = plain.predict([data])
            if i:
                floor.append(time.perf_counter() - started)
                ours.append(outcome.seconds)
            assert outcome.document["label"] == prediction.label
    for name, pick in (("p50", 49), ("p99", 98)):
        a, b = (1000 * quantiles(values, n=100)[pick] for values in (ours, floor))
        print(f"warm {name}  {a:.1f} ms; predictor alone {b:.1f} ms; ratio {a / b:.2f}")


def many(running: Runtime, files: list[Path], address: str, data: Path, events: int) -> None:
    """All kinds of events in a random order, each with the outcome that it should have."""
    draw, wrong, ends = random.Random(0), Counter[str](), Counter[str]()
    looks = [look for look in LOOKS if look <= events]
    started, memory = time.perf_counter(), dict[int, float]()
    for i in range(1, events + 1):
        name, event, expected = draw.choice(kinds(draw.choice(files), address, data))
        ends[name] += 1
        if not as_expected(running.invoke(event), expected):
            wrong[name] += 1
        if i in looks:
            memory[i] = running.resident()
    seconds = time.perf_counter() - started
    print(f"{events} events in {seconds:.0f} s, {sum(wrong.values())} wrong {dict(wrong)}")
    print("  " + ", ".join(f"{name} {n}" for name, n in sorted(ends.items())))
    print("memory " + ", ".join(f"after {n}: {mb:.0f} MB" for n, mb in memory.items()))


def kinds(file: Path, address: str, data: Path) -> list[Kind]:
    """One event of each kind about this picture."""
    raw, form = file.read_bytes(), {"Content-Type": ["image/jpeg"]}
    image = base64.b64encode(raw).decode()
    url = f"{address}/{file.relative_to(data).as_posix()}"
    document = json.dumps({"image": image}).encode()
    posted = Sent("POST", "/predict", {"top_k": ["3"]}, form, [], raw)
    as_json = Sent("POST", "/predict", {}, {"Content-Type": ["application/json"]}, [], document)
    broken = Sent("POST", "/predict", {}, form, [], raw[:50])
    page = Sent("GET", "/", {}, {}, [], b"")
    return [
        ("direct image", {"image": image}, "label"),
        ("direct image, flat", {"image": image, "flat": True, "top_k": 1}, ""),
        ("direct url", {"url": url}, "label"),
        ("direct pictures", {"pictures": [{"image": image}, {"image": "aGk="}]}, "predictions"),
        ("direct heat map", {"image": image, "explain": True}, "heatmap"),
        ("HTTP API", http_api(posted), 200),
        ("HTTP API, page", http_api(page), 200),
        ("function URL", function_url(as_json), 200),
        ("REST API", rest_api(posted), 200),
        ("REST API, no picture", rest_api(broken), 422),
        ("HTTP API, nowhere", http_api(Sent("GET", "/nowhere", {}, {}, [], b"")), 404),
        ("direct, no picture", {"image": "aGk="}, "PictureError"),
        ("direct, no such file", {"url": f"{address}/none.jpg"}, "FetchError"),
        ("direct, metadata service", {"url": "http://169.254.169.254/"}, "FetchRefusedError"),
        ("direct, malformed", {"uri": url}, "RequestError"),
        ("direct, no JSON", b"{", "Runtime.UnmarshalError"),
    ]


def as_expected(outcome: Outcome, expected: str | int) -> bool:
    if isinstance(expected, int):
        return outcome.error is None and outcome.document["statusCode"] == expected
    if "Error" in expected:
        return outcome.error == expected
    return outcome.error is None and (expected in outcome.document or not expected)


if __name__ == "__main__":
    main()
