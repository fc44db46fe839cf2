"""Settings: strict about names and types, and their messages say where and what instead."""

from pathlib import Path

import pytest

from discern.config import (
    FinetuneConfig,
    HeadConfig,
    SplitConfig,
    TrainConfig,
    cache_dir,
    read_settings,
    settings_from,
)
from discern.errors import ConfigError
from discern.images import PreprocessSpec


@pytest.fixture
def toml(tmp_path: Path):
    """Write a settings file."""

    def write(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_nothing_given_is_the_defaults(toml) -> None:
    assert read_settings(TrainConfig, toml("")) == TrainConfig()


def test_tables_are_settings_within_settings(toml) -> None:
    path = toml('mode = "finetune"\nseed = 3\n[finetune]\nepochs = 2\n[head]\nc = [1, 0.5]\n')
    expected = TrainConfig(
        mode="finetune", seed=3, finetune=FinetuneConfig(epochs=2), head=HeadConfig(c=(1.0, 0.5))
    )
    assert read_settings(TrainConfig, path) == expected


def test_an_unknown_key_names_the_nearest(toml) -> None:
    path = toml("[finetune]\nlearning_rat = 0.1\n")
    with pytest.raises(ConfigError, match="Did you mean 'learning_rate'") as caught:
        read_settings(TrainConfig, path)
    assert str(caught.value).startswith(f"{path}: finetune: unknown setting 'learning_rat'.")


def test_an_unknown_key_like_no_other_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"'qqq'\. Known: seed, test, validation\."):
        settings_from(SplitConfig, {"qqq": 1})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": "1"}, "settings: seed is '1'; expected int."),
        ({"seed": 1.0}, "settings: seed is 1.0; expected int."),
        ({"seed": True}, "settings: seed is True; expected int."),
        ({"mode": "magic"}, "expected 'frozen', 'finetune', 'scratch'."),
        ({"budget": "10m"}, "settings: budget is '10m'; expected float."),
        ({"split": 0.1}, "settings: split is 0.1; expected SplitConfig."),
        ({"split": {"test": False}}, "settings: split: test is False; expected float."),
        ({"head": {"c": 0.1}}, "settings: head: c is 0.1; expected tuple."),
        ({"head": {"c": "0.1"}}, "settings: head: c is '0.1'; expected tuple."),
        ({"head": {"c": [0.1, "a"]}}, "settings: head: c is 'a'; expected float."),
        ({"finetune": {"flip": 1}}, "settings: finetune: flip is 1; expected bool."),
    ],
)
def test_a_wrong_type_says_where_and_what(values: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from(TrainConfig, values)
    assert message in str(caught.value)


def test_whole_numbers_pass_for_floats_and_become_floats() -> None:
    config = settings_from(TrainConfig, {"budget": 60, "split": {"test": 0}})
    assert (type(config.budget), type(config.split.test)) == (float, float)


def test_none_passes_where_none_is_a_choice() -> None:
    assert settings_from(TrainConfig, {"budget": None}, base=TrainConfig(budget=3.0)).budget is None


def test_values_are_put_over_a_base_at_every_depth() -> None:
    base = TrainConfig(seed=5, finetune=FinetuneConfig(epochs=3, warmup=0.2))
    merged = settings_from(TrainConfig, {"finetune": {"epochs": 9}}, base=base)
    assert merged == TrainConfig(seed=5, finetune=FinetuneConfig(epochs=9, warmup=0.2))


def test_settings_without_defaults_can_be_read() -> None:
    spec = PreprocessSpec.from_dict({"height": 32, "width": 24, "fill": [1, 2, 3]})
    assert spec == PreprocessSpec(32, 24, fill=(1, 2, 3))


@pytest.mark.parametrize("values", [{}, {"width": 32}])
def test_a_required_setting_that_is_missing_is_named(values: dict) -> None:
    with pytest.raises(ConfigError, match="settings: height"):
        settings_from(PreprocessSpec, values)
    with pytest.raises(ConfigError, match="height"):
        PreprocessSpec.from_dict(values)


def test_a_file_that_is_not_toml(toml) -> None:
    with pytest.raises(ConfigError, match=r"settings\.toml: is not valid TOML: "):
        read_settings(TrainConfig, toml("seed ="))


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        read_settings(TrainConfig, path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read \\(No such file or directory\\)"):
        read_settings(TrainConfig, tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read \\(Is a directory\\)"):
        read_settings(TrainConfig, tmp_path)


def test_the_cache_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cached")
    monkeypatch.setenv("DISCERN_CACHE", "~/named")
    assert cache_dir() == Path("/home/me/named")
    monkeypatch.setenv("DISCERN_CACHE", "")
    assert cache_dir() == Path("/var/cached/discern")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path("/home/me/.cache/discern")
