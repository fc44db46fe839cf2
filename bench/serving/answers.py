"""Whether HTTP answers what `discern predict` answers."""

import http.client
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from material import discern
from serving.contenders import BOUNDARY, Bench, form
from serving.table import Figure

ROUNDING = 0.6e-6  # `predict` writes six digits

Scores = Mapping[str, float]


def answers(bench: Bench) -> list[Figure]:
    expected = predicted(bench.folder, bench.files)
    with bench.ours().fresh() as server:
        ways = {"raw body": None, "form": "file"}
        return [
            _compared(name, expected, [asked(server.port, path, field) for path in bench.files])
            for name, field in ways.items()
        ]


def predicted(model: Path, files: list[Path]) -> list[dict[str, Any]]:
    """What `discern predict` says, with all scores."""
    words = discern("predict", str(model), "-", "--jsonl", "--top-k", "1000000")
    names = "\n".join(map(str, files))
    out = subprocess.run(words, input=names, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def asked(port: int, path: Path, form_field: str | None) -> dict[str, Any]:
    """What `POST /predict` says."""
    body, kind = path.read_bytes(), "image/jpeg"
    if form_field:
        body, kind = form(body, form_field), f"multipart/form-data; boundary={BOUNDARY}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/predict", body, {"Content-Type": kind})
        response = connection.getresponse()
        document = json.loads(response.read())
    finally:
        connection.close()
    if response.status != 200:
        raise SystemExit(f"{path}: {response.status} {document}")
    answer: dict[str, Any] = document
    return answer


def _compared(name: str, expected: list[dict[str, Any]], got: list[dict[str, Any]]) -> Figure:
    pairs = list(zip(expected, got, strict=True))
    largest = max(_difference(a["scores"], b["scores"]) for a, b in pairs)
    same = sum(
        a["label"] == b["label"] and _difference(a["scores"], b["scores"]) <= ROUNDING
        for a, b in pairs
    )
    what = f"{name}: equal of {len(pairs)}; |Δp| ≤ {largest:.1e} of 6 digits"
    return Figure(what, same, None, None, same / len(pairs), "1")


def _difference(a: Scores, b: Scores) -> float:
    return max(abs(a.get(label, 2.0) - b.get(label, 2.0)) for label in a.keys() | b.keys())
