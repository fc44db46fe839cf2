"""A real server process and raw connections: what no test client would do."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

QUICK = """
from discern.serving import connection
connection.HEAD_SECONDS = 0.3  # instead of ten
from discern.cli import main
main()
"""


class Running:
    """A server process that is ready."""

    def __init__(self, *words: object) -> None:
        self.port = free_port()
        self.trusted: ssl.SSLContext | None = None  # set where the server speaks TLS
        self.process = subprocess.Popen(
            [sys.executable, "-c", QUICK, *map(str, words), "--port", str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> "Running":
        for _ in range(200):
            if self.process.poll() is not None:
                pytest.fail(self.process.communicate()[1])
            try:
                self.get("/readyz")
                return self
            except OSError:  # not listening yet, or 503
                time.sleep(0.05)
        pytest.fail("not ready in ten seconds")

    def get(self, path: str, data: bytes | None = None) -> bytes:
        """What a GET, or with data a POST, gets; an HTTPError if it is not 2xx."""
        scheme = "https" if self.trusted else "http"
        url = f"{scheme}://127.0.0.1:{self.port}{path}"
        headers = {"Content-Type": "image/png"} if data else {}
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.trusted) as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as exc:
            exc.close()
            raise
        return body

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def stop(self) -> tuple[int, str, str]:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out, err


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "serve.toml"
    file.write_text("linger_seconds = 0.2\n[limits]\nbody_seconds = 0.5\n")
    return file


@pytest.fixture
def running(served: Path, config: Path) -> Iterator[Running]:
    server = Running("serve", served, "--config", config).wait()
    yield server
    if server.process.stdout and not server.process.stdout.closed:
        server.stop()


def test_answers_then_stops_on_sigterm(running: Running, pictures: list[Path]) -> None:
    answer = json.loads(running.get("/predict", pictures[0].read_bytes()))
    assert answer["model"] == {"name": "pets", "version": "3"}
    code, out, err = running.stop()
    assert code == 0
    assert "pets 3 is served at" in err
    assert "Traceback" not in err
    lines = [json.loads(line) for line in out.splitlines()]
    assert {"/readyz", "/predict"} == {line["path"] for line in lines}
    assert lines[-1]["model"] == "pets/3"


def test_not_ready_while_draining(running: Running) -> None:
    with running.raw() as held:  # an open connection that is idle does not hold it up
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        held.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert held.recv(4096).startswith(b"HTTP/1.1 503")
    assert running.process.wait(10) == 0


def test_slow_and_huge_heads_are_cut_off(running: Running) -> None:
    with running.raw() as huge:
        huge.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 70_000)
        assert huge.recv(4096).startswith(b"HTTP/1.1 431")
    with running.raw() as slow, running.raw() as silent:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost:")
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
        assert silent.recv(4096).startswith(b"HTTP/1.1 408")
    assert running.get("/healthz") == b"alive\n"


def test_a_body_that_drips_is_cut_off(running: Running) -> None:
    with running.raw() as slow:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        slow.sendall(head + b"Content-Length: 100\r\n\r\nx")
        answer = slow.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01",  # TLS to a plain port
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_garbage_gets_a_4xx_or_nothing(running: Running, garbage: bytes) -> None:
    with running.raw() as sock:
        sock.sendall(garbage)
        sock.shutdown(socket.SHUT_WR)
        answer = sock.recv(4096)
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert running.get("/healthz") == b"alive\n"


def test_clients_that_hang_up_hurt_nobody(running: Running, pictures: list[Path]) -> None:
    data = pictures[0].read_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    for cut in (len(head) // 2, len(head), len(head) + 10, len(head) + len(data)):
        with running.raw() as sock:
            sock.sendall((head + data)[:cut])
    assert running.get("/predict", data)
    assert running.stop()[0] == 0


def test_a_port_that_is_taken_is_said(served: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", QUICK, "serve", served, "--port", str(port)],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in done.stderr


def test_a_model_that_cannot_be_served_ends_the_process(served: Path) -> None:
    (served / "model.onnx").write_bytes(b"other")
    done = subprocess.run(
        [sys.executable, "-c", QUICK, "serve", served, "--port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "model.onnx: has changed" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_folder_may_be_replaced_while_it_serves(running: Running, served: Path) -> None:
    for file in sorted(served.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    example = json.loads(running.get("/model"))["examples"][0]
    assert running.get(f"/{example}")
    assert running.get("/model/files/report.html")


def test_below_a_root_path(served: Path, config: Path, pictures: list[Path]) -> None:
    server = Running("serve", served, "--config", config, "--root-path", "/pets").wait()
    for path in ("/predict", "/pets/predict"):  # behind a proxy that strips it, or does not
        assert server.get(path, pictures[0].read_bytes())
    document = json.loads(server.get("/openapi.json"))
    assert document["servers"] == [{"url": "/pets"}]
    assert server.stop()[0] == 0


def test_over_tls(served: Path, config: Path, tmp_path: Path, pictures: list[Path]) -> None:
    openssl, files = shutil.which("openssl"), [tmp_path / "cert.pem", tmp_path / "key.pem"]
    if openssl is None:
        pytest.skip("no openssl")
    make = [openssl, "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run(make, check=True, capture_output=True)
    server = Running(
        *("serve", served, "--config", config, "--tls-cert", files[0], "--tls-key", files[1])
    )
    server.trusted = ssl.create_default_context(cafile=files[0])
    assert server.wait().get("/predict", pictures[0].read_bytes())
    code, _, err = server.stop()
    assert code == 0
    assert "served at https://127.0.0.1" in err


@pytest.mark.parametrize(
    ("proxies", "statuses"), [("127.0.0.1", [200, 200]), ("10.0.0.0/8", [200, 429])]
)
def test_whom_a_proxy_asks_for(
    served: Path, tmp_path: Path, pictures: list[Path], proxies: str, statuses: list[int]
) -> None:
    config = tmp_path / "proxied.toml"
    config.write_text(f"[access]\nrate = 0.001\nburst = 1\nproxies = ['{proxies}']\n")
    running = Running("serve", served, "--config", config).wait()
    data, found = pictures[0].read_bytes(), []
    for client in ("192.0.2.1", "192.0.2.2"):
        headers = {"Content-Type": "image/png", "X-Forwarded-For": client}
        url = f"http://127.0.0.1:{running.port}/predict"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
                found.append(answer.status)
        except urllib.error.HTTPError as exc:
            found.append(exc.code)
            exc.close()
    running.stop()
    assert found == statuses


def test_half_a_certificate_is_refused(served: Path, tmp_path: Path) -> None:
    server = Running("serve", served, "--tls-cert", tmp_path / "cert.pem")
    _, err = server.process.communicate(timeout=30)
    assert server.process.returncode == 2
    assert "both --tls-cert and --tls-key" in err


def test_requests_under_way_are_finished(running: Running, pictures: list[Path]) -> None:
    """Many requests at once, SIGTERM in their midst: each gets its answer."""
    data, answers = pictures[0].read_bytes(), []

    def ask() -> None:
        answers.append(running.get("/predict", data))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    os.kill(running.process.pid, signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert len(answers) == 8
    assert running.process.wait(10) == 0
