"""`discern deploy lambda`: a template that CloudFormation's own checker takes, events that work."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from discern.deploy.footprint import Footprint
from discern.deploy.lambda_ import lambda_files, memory_mb
from discern.deploy.rendering import Files, write
from discern.deploy.subject import Subject
from discern.errors import ConfigError, FetchRefusedError
from discern.model import load
from discern.serving.fetch import FetchSettings
from discern.serving.lambda_function import Function
from discern.serving.settings import ServeSettings

CFN_LINT = [sys.executable, "-c", "import sys; from cfnlint.runner import main; sys.exit(main())"]
yaml = pytest.importorskip("yaml")


def subject_of(folder: Path, memory_mib: int = 167, registry: str = "") -> Subject:
    footprint = Footprint(memory_mib, start_seconds=0.4, picture_ms=12.0)
    return Subject("clothes", load(folder), "0.1.0-12345678", footprint, registry)


@pytest.fixture
def made(model_folder: Path) -> Files:
    return lambda_files(subject_of(model_folder))


def text(files: Files, name: str) -> str:
    content = files[name]
    assert isinstance(content, str)
    return content


def template(files: Files) -> dict[str, Any]:
    """The template, with CloudFormation's short functions as lists of their name and arguments."""

    class Loader(yaml.SafeLoader):  # type: ignore[name-defined,misc]
        pass

    def function(loader: Any, suffix: str, node: Any) -> list[Any]:
        kind = type(node).__name__
        made = {"ScalarNode": loader.construct_scalar, "SequenceNode": loader.construct_sequence}
        return [suffix, made[kind](node)]

    Loader.add_multi_constructor("!", function)
    found: dict[str, Any] = yaml.load(text(files, "template.yaml"), Loader)
    return found


def test_cloudformations_checker_finds_nothing(model_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("cfnlint")
    for memory_mib in (167, 3000):
        write(lambda_files(subject_of(model_folder, memory_mib)), tmp_path / str(memory_mib))
    templates = [str(path) for path in tmp_path.glob("*/template.yaml")]
    assert len(templates) == 2
    done = subprocess.run([*CFN_LINT, "-c", "I", "--", *templates], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_writes_it(model_folder: Path, tmp_path: Path) -> None:
    words = ["deploy", "lambda", str(model_folder), "-o", str(tmp_path / "out"), "--name", "pets"]
    program = "from discern.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["files"]
    assert {"template.yaml", "README.md", "images/lambda/Dockerfile"} < set(said)
    assert (tmp_path / "out" / "models" / "pets" / "1" / "model.json").is_file()


def test_the_function_may_write_its_log_and_traces_and_nothing_else(made: Files) -> None:
    resources = template(made)["Resources"]
    (policy,) = resources["FunctionRole"]["Properties"]["Policies"]
    rights = {
        (action, str(statement["Resource"]))
        for statement in policy["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }
    log = str(["GetAtt", "FunctionLog.Arn"])
    assert rights == {
        ("logs:CreateLogStream", log),
        ("logs:PutLogEvents", log),
        ("xray:PutTraceSegments", "*"),
        ("xray:PutTelemetryRecords", "*"),
    }
    assert "Policies" not in resources["Function"]["Properties"]


def test_it_is_bounded_watched_and_forgets(made: Files) -> None:
    found = template(made)["Resources"]
    function, api = found["Function"]["Properties"], found["Api"]["Properties"]
    assert function["Timeout"] < 30  # what an HTTP API waits
    assert function["ReservedConcurrentExecutions"]
    assert api["DefaultRouteSettings"].keys() == {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    assert "query" not in api["AccessLogSettings"]["Format"].lower()
    kinds = [resource["Type"] for resource in found.values()]
    logs = [r for r in found.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert len(logs) == 2
    assert all("RetentionInDays" in log["Properties"] for log in logs)
    alarms = [r["Properties"] for r in found.values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    assert {alarm["MetricName"] for alarm in alarms} == {"Errors", "Throttles", "Duration", "5xx"}
    assert kinds.count("AWS::Lambda::Url") == 1
    assert found["Url"]["Condition"] == "HasFunctionUrl"


def test_nothing_is_open_that_was_not_asked_for(made: Files) -> None:
    parameters = template(made)["Parameters"]
    assert parameters["FunctionUrl"]["Default"] == "off"
    assert not any(p.get("Default") is None for p in parameters.values())


@pytest.mark.parametrize(
    ("took", "gets"), [(60, 1769), (167, 1769), (1115, 1769), (1500, 2346), (6000, 9096)]
)
def test_memory_is_what_the_model_took_and_a_processor(took: int, gets: int) -> None:
    assert memory_mb(Footprint(took, 1.0, 10.0)) == gets


def test_a_model_that_is_too_large_is_refused() -> None:
    with pytest.raises(ConfigError, match="Lambda has 10240 at most"):
        memory_mb(Footprint(7000, 1.0, 10.0))


Check = Callable[[Any], bool]
ANSWERS: dict[str, Check] = {
    "direct-image.json": lambda answer: answer["label"] in answer["scores"],
    "direct-pictures.json": lambda answer: (
        [p.get("error", {}).get("status") for p in answer["predictions"]] == [None, 422]
    ),
    "http-api.json": lambda answer: answer["statusCode"] == 200 and '"label"' in answer["body"],
    "function-url.json": lambda answer: answer["statusCode"] == 200,
    "rest-api.json": lambda answer: answer["statusCode"] == 200 and '"cat"' in answer["body"],
}


class Context:
    aws_request_id = "1"

    def get_remaining_time_in_millis(self) -> int:
        return 20_000


def test_every_example_event_gets_an_answer(made: Files, model_folder: Path) -> None:
    function = Function(model_folder, ServeSettings(fetch=FetchSettings(enabled=False)))
    events = {name.removeprefix("events/") for name in made if name.startswith("events/")}
    assert events == {*ANSWERS, "direct-url.json"}
    for name, check in ANSWERS.items():
        answer = function(json.loads(text(made, f"events/{name}")), Context())
        assert check(answer), (name, answer)
    with pytest.raises(FetchRefusedError):  # there is no network in tests
        function(json.loads(text(made, "events/direct-url.json")), Context())
    function.close()


def test_the_examples_picture_is_the_models(made: Files, model_folder: Path) -> None:
    event = json.loads(text(made, "events/direct-image.json"))
    assert base64.b64decode(event["image"]) == load(model_folder).references[0].data


@pytest.mark.parametrize("registry", ["", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/"])
def test_the_readme_names_what_is_there(model_folder: Path, registry: str) -> None:
    files = lambda_files(subject_of(model_folder, registry=registry))
    readme = text(files, "README.md")
    for name in re.findall(r"(?:file=@|file://|-f |-e |--template-file )([\w./-]+)", readme):
        assert name in files, name
    blocks = re.findall(r"```\n(.*?)```", readme, re.DOTALL)
    assert len(blocks) >= 7
    for block in blocks:
        if not block.startswith("{"):
            subprocess.run(["bash", "-n"], input=block, text=True, check=True)
