"""compose.yaml: by its schema, by what it promises, and by the processes that it would start."""

import importlib.util
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from discern.cli import app, main
from discern.deploy.compose import compose_files
from discern.deploy.footprint import Footprint
from discern.deploy.rendering import write
from discern.deploy.subject import Subject
from discern.errors import ConfigError
from discern.model import load
from discern.serving.settings import ServeSettings

TIERS = ("discern", "triton", "ovms", "tf-serving")
SCHEMAS = importlib.util.find_spec("check_jsonschema")
FOOTPRINT = Footprint(160, 0.8, 20.0)
READY_SECONDS = 60  # two processes that start at once, on a busy machine


@pytest.fixture
def subject(model_folder: Path) -> Subject:
    return Subject("clothes", load(model_folder), "0.1.0-abcdef12", FOOTPRINT, "eu.example.org/a/")


@pytest.fixture(params=[*((tier, False) for tier in TIERS), ("discern", True), ("triton", True)])
def rendered(request: pytest.FixtureRequest, subject: Subject, tmp_path: Path) -> Path:
    """A folder of every tier, with Prometheus and without."""
    tier, monitoring = request.param
    write(compose_files(subject, tier, monitoring), tmp_path / "rendered")
    return tmp_path / "rendered"


@pytest.fixture
def own(subject: Subject, tmp_path: Path) -> Path:
    """The folder with discern's own servers, watched."""
    write(compose_files(subject, monitoring=True), tmp_path / "own")
    return tmp_path / "own"


def compose(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((folder / "compose.yaml").read_text())
    return read


def parsed(command: list[str]) -> dict[str, Any]:
    """What discern's own command line makes of a command's words; it exits where they are wrong."""
    assert command[0] == "discern"
    group: Any = typer.main.get_command(app)
    with group.commands[command[1]].make_context(command[1], command[2:]) as context:
        read: dict[str, Any] = context.params
    return read


@pytest.mark.skipif(SCHEMAS is None, reason="check-jsonschema, which has the schema, is not here")
def test_the_schema_of_compose_files_is_met(rendered: Path) -> None:
    from jsonschema.validators import validator_for

    assert SCHEMAS is not None
    assert SCHEMAS.origin is not None
    file = Path(SCHEMAS.origin).parent / "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(file.read_text())
    assert [e.message for e in validator_for(schema)(schema).iter_errors(compose(rendered))] == []


def test_nothing_has_rights_and_only_the_gateway_is_reached(rendered: Path) -> None:
    document = compose(rendered)
    for name, service in document["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert any(place.startswith("/tmp") for place in service["tmpfs"]), name
        assert int(service["mem_limit"].removesuffix("m")) >= 512, name
        for port in service.get("ports", []):
            assert port.startswith(("127.0.0.1:", "${PUBLISH:-127.0.0.1:")), name
    server = document["services"]["model-server"]
    assert "ports" not in server
    assert server["networks"] == ["models"]
    assert document["networks"]["models"] == {"internal": True}
    assert set(document["services"]["gateway"]["networks"]) == {"models", "outside"}


def test_whatever_a_service_names_is_there(rendered: Path) -> None:
    document = compose(rendered)
    for service in document["services"].values():
        assert set(service["networks"]) <= set(document["networks"])
        assert set(service.get("depends_on", ())) <= set(document["services"])
        if build := service.get("build"):
            assert (rendered / build["dockerfile"]).is_file()
            assert service["image"].startswith("eu.example.org/a/clothes-")
        else:
            assert re.search(r":v?\d+\.\d+", service["image"]), "a tag that stays what it is"
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            made_later = source == "./export"
            assert (
                made_later or source in document.get("volumes", {}) or (rendered / source).is_file()
            )


def test_the_gateway_asks_where_its_tier_listens(rendered: Path) -> None:
    services = compose(rendered)["services"]
    gateway, server = services["gateway"], services["model-server"]
    options = parsed(gateway["command"])
    (upstream,) = options["upstream"]
    scheme, host, port = re.fullmatch(r"([a-z-]+)://([a-z-]+):(\d+)", upstream).groups()  # type: ignore[union-attr]
    assert host in services
    if "build" in server:
        assert scheme == "grpc"
        assert parsed(server["command"])["grpc_port"] == int(port)
        assert options["model"] is None
        return
    words = dict(word.partition("=")[::2] for word in server.get("command", ()))
    listens = {"tritonserver": "8001", "model_server": words.get("--port"), "serving": "8500"}
    image = server["image"].split("/")[-1].split(":")[0]
    assert listens[image] == port
    # The image of the gateway has the very folder that its command names.
    dockerfile = (rendered / gateway["build"]["dockerfile"]).read_text()
    assert f"{str(options['model']).lstrip('/')}/ {options['model']}/" in dockerfile
    assert options["name"] == "clothes"
    assert server["volumes"] == ["./export:/models/clothes:ro"]


def test_there_is_time_to_finish_and_memory_for_two_versions(own: Path) -> None:
    settings = ServeSettings()
    services = compose(own)["services"]
    for name in ("gateway", "model-server"):
        patience = int(services[name]["stop_grace_period"].removesuffix("s"))
        assert patience > settings.linger_seconds + settings.drain_seconds
    assert int(services["model-server"]["mem_limit"].removesuffix("m")) > 2 * FOOTPRINT.memory_mib


def test_prometheus_watches_what_runs(own: Path) -> None:
    settings = yaml.safe_load((own / "monitoring/prometheus.yml").read_text())
    services = compose(own)["services"]
    gateway, server = settings["scrape_configs"]
    assert gateway["static_configs"] == [{"targets": ["gateway:9696"]}]
    (found,) = server["dns_sd_configs"]
    assert (found["names"], found["port"]) == (["model-server"], 8501)
    assert parsed(services["model-server"]["command"])["http_port"] == found["port"]
    board = json.loads((own / "monitoring/dashboard.json").read_text())
    assert 'job=~"clothes(-.+)?"' in board["panels"][0]["targets"][0]["expr"]
    assert {job["job_name"] for job in (gateway, server)} == {
        "clothes-gateway",
        "clothes-model-server",
    }
    mounted = {volume.split(":")[1] for volume in services["prometheus"]["volumes"]}
    assert set(settings["rule_files"]) <= mounted
    (provider,) = yaml.safe_load((own / "monitoring/boards.yaml").read_text())["providers"]
    boards = [v.split(":")[1] for v in services["grafana"]["volumes"] if "dashboard.json" in v]
    assert [str(Path(board).parent) for board in boards] == [provider["options"]["path"]]


def test_the_picture_that_the_readme_sends_is_there(rendered: Path) -> None:
    readme = (rendered / "README.md").read_text()
    named = re.search(r"file=@(\S+)", readme)
    assert named is not None
    assert (rendered / named[1]).is_file()
    assert "\n\n\n" not in readme
    assert not re.search(r"\{[=%#]|[=%#]\}", readme)


def test_secrets_stay_out_of_git(own: Path) -> None:
    assert ".env" in (own / ".gitignore").read_text().split()
    lines = (own / ".env.example").read_text().splitlines()
    assert all(line.startswith("#") or not line for line in lines)


def test_an_unknown_tier_is_named(subject: Subject) -> None:
    with pytest.raises(ConfigError, match=r"'tritton' is unknown\. Tiers: discern, triton"):
        compose_files(subject, "tritton")


def test_the_command_writes_the_folder(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    words = ["deploy", "compose", model_folder, "-o", output, "--tier", "ovms", "--json"]
    monkeypatch.setattr(sys, "argv", ["discern", *map(str, words)])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    said = json.loads(capsys.readouterr().out)
    assert said["output"] == str(output)
    assert "compose.yaml" in said["files"]
    assert compose(output)["name"] == "my-model"


class Started:
    """The processes that compose would start, on ports of this machine."""

    def __init__(self, folder: Path) -> None:
        self._services = compose(folder)["services"]
        self._models = str(folder / "models")
        self._running: list[subprocess.Popen[bytes]] = []
        with socket.socket() as a, socket.socket() as b, socket.socket() as c:
            for each in (a, b, c):
                each.bind(("127.0.0.1", 0))
            self.http, self.grpc, self.rest = (each.getsockname()[1] for each in (a, b, c))

    def start(self, service: str, *ports: str) -> None:
        words = [
            word.replace("model-server:8500", f"127.0.0.1:{self.grpc}")
            for word in self._services[service]["command"][1:]
        ]
        words = [self._models if word == "/models" else word for word in words]
        program = [sys.executable, "-c", "from discern.cli import main; main()"]
        self._running.append(
            subprocess.Popen([*program, *words, *ports], stdout=subprocess.DEVNULL)
        )

    def ask(self, path: str, data: bytes | None = None) -> bytes:
        headers = {"Content-Type": "image/png"} if data else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: bytes = answer.read()
        return body

    def wait(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            assert all(process.poll() is None for process in self._running), "one has ended"
            try:
                self.ask("/readyz")
                return
            except urllib.error.HTTPError as exc:
                exc.close()
            except OSError:
                pass  # not listening yet
            time.sleep(0.05)
        pytest.fail("not ready in time")

    def stop(self) -> list[int]:
        for process in reversed(self._running):
            process.terminate()
        return [process.wait(15) for process in self._running]


@pytest.fixture
def started(own: Path) -> Iterator[Started]:
    # In images there is no other engine.
    (own / "models/clothes/serving.toml").write_text('engine = "onnxruntime"\n')
    running = Started(own)
    running.start(
        "model-server", "--grpc-port", str(running.grpc), "--http-port", str(running.rest)
    )
    running.start("gateway", "--port", str(running.http))
    yield running
    running.stop()


def test_both_processes_answer_as_the_model_does(
    started: Started, subject: Subject, pictures: list[Path]
) -> None:
    started.wait()
    how = {"engine": "onnxruntime", "precision": "f32", "device": "cpu"}
    expected = subject.model.predictor(**how).predict(pictures[:5])
    for path, prediction in zip(pictures, expected, strict=False):
        answer = json.loads(started.ask("/predict", path.read_bytes()))
        assert answer["label"] == prediction.label
        assert answer["model"] == {"name": "clothes", "version": "1"}
    assert started.stop() == [0, 0]
