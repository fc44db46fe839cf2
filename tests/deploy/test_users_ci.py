"""CI for users: valid for both services, true to the command line, as strict as it says."""

import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from command_lines import complaint, in_markdown, in_shell
from discern.config import FinetuneConfig, HeadConfig, TrainConfig, settings_from
from discern.deploy.ci import ci_files, settings_of
from discern.deploy.footprint import Footprint
from discern.deploy.rendering import Files, write
from discern.deploy.subject import Subject
from discern.errors import ConfigError
from discern.model import ModelInfo, load

pytest.importorskip("jinja2", reason="discern deploy needs the extra 'deploy'")
pytest.importorskip("torch", reason="the pipeline's pins are those of an environment that trains")

GITHUB, GITLAB = ".github/workflows/discern.yml", ".gitlab-ci.yml"
ACCURACY = {"test": {"accuracy": {"value": 0.877, "low": 0.8377, "high": 0.9076}}}


@pytest.fixture
def subject(model_folder: Path) -> Subject:
    model = load(model_folder)
    model = replace(model, info=replace(model.info, metrics=ACCURACY))
    return Subject("clothes", model, "0.1.0-ab", Footprint(200, 0.6, 12.0))


def rendered(subject: Subject, data: str = "photos", **named: Any) -> Files:
    return ci_files(subject, data, budget=1200, at_least=named.pop("at_least", None), **named)


def text(files: Files, name: str) -> str:
    return str(files[name])


def steps(files: Files) -> list[str]:
    """What either service runs, in order: GitHub's steps, then GitLab's."""
    hub = yaml.safe_load(text(files, GITHUB))["jobs"]
    lab = yaml.safe_load(text(files, GITLAB))
    runs = [step["run"] for job in hub.values() for step in job["steps"] if "run" in step]
    return [*runs, *lab["model"]["script"], *lab["publish"]["script"]]


@pytest.mark.parametrize("data", ["photos", "data/my photos", "données"])
def test_every_command_is_discern_s(subject: Subject, data: str) -> None:
    files = rendered(subject, data)
    commands = [words for step in steps(files) for words in in_shell(step)]
    wanted = ("inspect", "train", "evaluate", "export", "verify", "deploy")
    assert [words[0] for words in commands] == [*wanted, *wanted]
    commands += in_markdown(text(files, "README.md"))
    assert [(c, words) for words in commands if (c := complaint(words))] == []


@pytest.mark.parametrize(("name", "schema"), [(GITHUB, "github-workflows"), (GITLAB, "gitlab-ci")])
def test_schemas(subject: Subject, tmp_path: Path, name: str, schema: str) -> None:
    command = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    if not command:
        pytest.skip("check-jsonschema is not installed")
    write(rendered(subject, "data/my photos"), tmp_path / "ci")
    call = [command, "--builtin-schema", f"vendor.{schema}", str(tmp_path / "ci" / name)]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_bad_model_never_gets_an_image(subject: Subject) -> None:
    files = rendered(subject)
    hub, lab = (yaml.safe_load(text(files, name)) for name in (GITHUB, GITLAB))
    assert hub["jobs"]["image"]["needs"] == "model"
    assert lab["publish"]["needs"] == ["model"]
    assert lab["stages"] == ["model", "publish"]
    script = lab["model"]["script"]
    order = [step.split()[1] for step in script if step.startswith("discern ")]
    assert order.index("evaluate") < order.index("export") < order.index("deploy")
    assert not any(step.get("continue-on-error") for step in hub["jobs"]["model"]["steps"])


def test_least_rights(subject: Subject) -> None:
    hub = yaml.safe_load(text(rendered(subject), GITHUB))
    assert hub["permissions"] == {"contents": "read"}
    rights = {name: job.get("permissions") for name, job in hub["jobs"].items()}
    assert rights == {"model": None, "image": {"contents": "read", "packages": "write"}}
    assert hub["jobs"]["image"]["if"] == "github.ref == 'refs/heads/main'"
    uses = [s["uses"] for job in hub["jobs"].values() for s in job["steps"] if "uses" in s]
    assert uses
    assert all(each.startswith("actions/") and each.count(".") == 2 for each in uses)


def test_the_bar(subject: Subject) -> None:
    def bar(**named: Any) -> set[str]:
        files = rendered(subject, **named)
        return {
            yaml.safe_load(text(files, GITHUB))["env"]["AT_LEAST"],
            yaml.safe_load(text(files, GITLAB))["variables"]["AT_LEAST"],
        }

    assert bar() == {"0.83"}  # the model itself passes
    assert bar(at_least=0.9) == {"0.9"}
    assert bar(at_least=0.0) == {"0"}
    model = replace(subject.model, info=replace(subject.model.info, metrics={}))
    without = replace(subject, model=model)
    with pytest.raises(ConfigError, match="--at-least"):
        rendered(without)


def test_a_wheel_goes_with_it(subject: Subject, tmp_path: Path) -> None:
    wheel = tmp_path / "discern-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    files = rendered(subject, wheel=wheel)
    place = f"discern-ci/wheels/{wheel.name}"
    assert files[place] == wheel
    assert f'pip install -c discern-ci/constraints.txt "{place}[train,deploy]"' in steps(files)
    assert sum(f"--wheel {place}" in step for step in steps(files)) == 2


@pytest.mark.parametrize("data", ["/photos", "../photos", "a/../../b", ""])
def test_data_outside_the_repository(subject: Subject, data: str) -> None:
    with pytest.raises(ConfigError, match="out of the repository"):
        rendered(subject, data)


@settings(max_examples=50)
@given(
    st.builds(
        TrainConfig,
        mode=st.sampled_from(["frozen", "finetune"]),
        backbone=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        seed=st.integers(0, 99),
        metadata=st.lists(st.sampled_from(["exif", "lat"]), unique=True).map(tuple),
        head=st.builds(HeadConfig, views=st.integers(1, 4)),
        finetune=st.builds(
            FinetuneConfig,
            flip=st.sampled_from([None, True, False]),
            mixup=st.floats(0, 1),
        ),
    )
)
def test_settings_come_back(config: TrainConfig) -> None:
    info = ModelInfo.__new__(ModelInfo)
    object.__setattr__(info, "training", {"config": asdict(config)})
    read = settings_from(TrainConfig, tomllib.loads(settings_of(info)))
    assert read == config


def test_the_command(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from discern.cli import main

    def run(*words: str) -> None:
        monkeypatch.setattr("sys.argv", ["discern", "deploy", "ci", *words])
        main()

    output = tmp_path / "ci"
    with pytest.raises(SystemExit, match=r"^0$"):
        run(str(model_folder), "-o", str(output), "--at-least", "0.5", "--budget", "10m")
    lab = yaml.safe_load((output / GITLAB).read_text())
    assert lab["variables"]["BUDGET"] == "600s"
    assert lab["model"]["timeout"] == "40 minutes"
    with pytest.raises(SystemExit, match=r"^2$"):
        run(str(model_folder), "-o", str(output))  # it is there already
