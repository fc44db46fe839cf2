"""What may be tried: ranges and choices by name, strictly checked."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import FixedTrial

from discern.config import TrainConfig
from discern.errors import ConfigError
from discern.training.search_space import (
    FINETUNE,
    FROZEN,
    LAYERED,
    Range,
    check_space,
    configured,
    default_space,
    read_params,
    read_space,
    suggested,
)

BASE = TrainConfig()


def written(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


def test_a_space_in_toml(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        backbone = ["resnet18", "resnet50"]
        "head.c" = { low = 1e-4, high = 1.0, log = true }
        [head]
        epochs = { low = 5, high = 10 }
        layers = [[], [64], [64, 32]]
        """,
    )
    assert read_space(path, BASE) == {
        "backbone": ("resnet18", "resnet50"),
        "head.c": Range(1e-4, 1.0, log=True),
        "head.epochs": Range(5, 10),
        "head.layers": ((), (64,), (64, 32)),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[head]\nlayer = [[8]]", "unknown setting 'layer'. Did you mean 'layers'"),
        ("[head]\nepochs = { low = 0.5, high = 10 }", "epochs is 0.5; expected int"),
        ("[head]\ndropout = { low = 0.5, high = 0.1 }", "low below high"),
        ("[head]\ndropout = { low = 0, high = 1, log = true }", "above 0 where log"),
        ("[head]\ndropout = { low = 0.0, hihg = 1 }", "unknown setting|expected a list"),
        ("[head]\ndropout = 0.5", "expected a list of choices"),
        ("[head]\nbatch_size = []", "expected a list of choices"),
        ("[finetune]\nepochs = [0, 5]", "finetune.epochs is 0; expected 1 or more"),
        ("mode = ['frozne']", "mode is 'frozne'"),
        ("", "names no setting"),
        ("[head", "not valid TOML"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_trial(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_space(written(tmp_path, text), BASE)


def test_the_default_spaces_can_be_trained() -> None:
    for space in (FROZEN, FINETUNE):
        check_space(space, BASE, "default")
    assert "backbone" not in default_space(BASE, ["resnet18"])
    assert default_space(BASE, ["a", "b"])["backbone"] == ("a", "b")


def test_settings_that_mean_nothing_beside_the_others_are_not_asked_for() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(30):
        trial = study.ask()
        values = suggested(trial, FROZEN)
        seen.add(bool(values["head.layers"]))
        assert ("head.c" in values) != bool(values["head.layers"])
        assert all((name in values) == bool(values["head.layers"]) for name in LAYERED)
        assert read_params(trial.params) == values
        configured(BASE, values)
        study.tell(trial, 0.0)
    assert seen == {True, False}


def test_suggestions_become_settings() -> None:
    trial = FixedTrial({"head.c": 0.02, "finetune.epochs": 3, "finetune.flip": "false"})
    space = {
        "head.c": Range(0.01, 1.0, log=True),
        "finetune.epochs": Range(2, 5),
        "finetune.flip": (True, False),
    }
    found = configured(BASE, suggested(trial, space))
    assert found.head.c == (0.02,)
    assert found.finetune.epochs == 3
    assert found.finetune.flip is False
    assert found.seed == BASE.seed
