"""Lines in the log: what they say, that nothing breaks them, what they cost."""

import json
import logging
import timeit
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.serving.access_log import AccessLog, JsonFormatter, request_id
from discern.serving.door import Visit


def visit(path: str = "/predict", **changes: Any) -> Visit:
    scope = {"method": "POST", "query_string": b"key=s3cret", "client": ("203.0.113.9", 4711)}
    headers = {b"user-agent": b"curl/8.5.0"}
    fields = {"scope": scope, "id": "r-1", "path": path, "started": 0.0, "headers": headers}
    return Visit(**(fields | changes))


def written(seen: Visit, seconds: float = 0.0123456) -> tuple[str, dict[str, Any]]:
    stream = StringIO()
    AccessLog(stream).write(seen, seconds)
    line = stream.getvalue()
    return line, json.loads(line)


def test_what_a_line_says() -> None:
    seen = visit(owner="alice", status=422, bytes_in=100, bytes_out=50, error="picture")
    seen.scope["model"] = "clothes/3"
    line, fields = written(seen)
    time = datetime.fromisoformat(fields.pop("time"))
    assert time.utcoffset() == timedelta(0)
    assert abs((datetime.now(time.tzinfo) - time).total_seconds()) < 5
    assert fields == {
        "request_id": "r-1",
        "method": "POST",
        "path": "/predict",
        "status": 422,
        "ms": 12.35,
        "bytes_in": 100,
        "bytes_out": 50,
        "client": "203.0.113.9",
        "key": "alice",
        "user_agent": "curl/8.5.0",
        "model": "clothes/3",
        "error": "picture",
    }
    assert "s3cret" not in line


def test_what_is_not_known_is_left_out() -> None:
    _, fields = written(visit(scope={"method": "GET", "client": None}, headers={}))
    assert fields.keys() == {
        *("time", "request_id", "method", "path", "ms", "bytes_in", "bytes_out")
    }


def test_long_values_are_cut() -> None:
    _, fields = written(visit("/" + "x" * 9000, headers={b"user-agent": b"y" * 9000}))
    assert len(fields["path"]) == 500
    assert len(fields["user_agent"]) == 200


@given(st.text(), st.binary())
def test_nothing_breaks_a_line(path: str, agent: bytes) -> None:
    line, fields = written(visit(path, headers={b"user-agent": agent}))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert fields["path"] == path[:500]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_a_full_disk_loses_lines_only() -> None:
    with pytest.raises(OSError, match="space"), Path("/dev/full").open("w") as full:  # at its end
        log = AccessLog(full)
        for _ in range(1000):
            log.write(visit(), 0.1)
    log.write(visit(), 0.1)  # closed


def test_a_line_costs_little() -> None:
    log, seen = AccessLog(StringIO()), visit(status=200)
    assert min(timeit.repeat(lambda: log.write(seen, 0.1), number=200, repeat=20)) / 200 < 30e-6


@pytest.mark.parametrize("given_id", ["a", "3f2c-A_b.9", "x" * 128])
def test_a_clients_id_is_kept(given_id: str) -> None:
    assert request_id({b"x-request-id": given_id.encode()}) == given_id


@pytest.mark.parametrize("given_id", [b"", b"x" * 129, b"a b", b"a\n", b'"', b"\xe4", b"a/b"])
def test_another_id_is_replaced(given_id: bytes) -> None:
    headers = {b"x-request-id": given_id}
    first, second = request_id(headers), request_id({})
    assert first != second
    assert len(first) == len(second) == 32


def test_messages_and_tracebacks_are_single_lines() -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.Logger("discern.serving")
    log.addHandler(handler)
    log.info("model %s loaded\nin %d ms", "clothes", 40)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("request failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    datetime.fromisoformat(first.pop("time"))
    message = "model clothes loaded\nin 40 ms"
    assert first == {"level": "info", "logger": "discern.serving", "message": message}
    assert second["level"] == "error"
    assert second["traceback"].startswith("Traceback")
    assert second["traceback"].endswith("ValueError: two\nlines")
