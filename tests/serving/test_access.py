"""API keys: what is read, what is refused, who is known."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.errors import ConfigError, UnauthorisedError
from discern.serving.access import Keys, hashed, is_name, key_in, key_in_metadata, new_key

# The same in every process: they stand in the names of tests.
ALICE, BOB = "dk_" + 43 * "a", "dk_" + 43 * "b"
Writer = Callable[[str], Path]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def write(text: str) -> Path:
        path = tmp_path / "keys"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_keys_of_a_file_and_of_the_environment(write: Writer) -> None:
    file = write(f"# ours\n\n alice : {hashed(ALICE).upper()}  # until June\n")
    keys = Keys.read(file, {"DISCERN_API_KEYS": f"bob:{hashed(BOB)}"})
    assert keys
    assert keys.owner(ALICE) == "alice"
    assert keys.owner(BOB) == "bob"


def test_the_environment_takes_commas_and_lines() -> None:
    carol = new_key()
    text = f"alice:{hashed(ALICE)},bob:{hashed(BOB)}\ncarol:{hashed(carol)}\n"
    keys = Keys.read(None, {"DISCERN_API_KEYS": text})
    assert [keys.owner(key) for key in (ALICE, BOB, carol)] == ["alice", "bob", "carol"]


def test_without_keys_anybody_may_ask() -> None:
    assert not Keys.read(None, {})


@pytest.mark.parametrize(
    "key", [None, "", BOB, ALICE[:-1], ALICE + " ", hashed(ALICE), "schlüssel"]
)
def test_other_keys_are_refused(key: str | None) -> None:
    keys = Keys.read(None, {"DISCERN_API_KEYS": f"alice:{hashed(ALICE)}"})
    with pytest.raises(UnauthorisedError, match="key"):
        keys.owner(key)


def test_new_keys_differ_and_hold_256_bits() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("dk_") and len(key) == 3 + 43 for key in keys)


@pytest.mark.parametrize(
    ("name", "fits"), [("a.b-C_9", True), ("x" * 65, False), ("", False), ("müller", False)]
)
def test_names(name: str, fits: bool) -> None:
    assert is_name(name) == fits


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"alice:{ALICE}", "line 1: a key in clear"),
        (f"# mine\n{ALICE}", "line 2: a key in clear"),
        (f"{ALICE}:{hashed(ALICE)}", "line 1: a key in clear"),
        (f"bob:{hashed(BOB)}, alice: hunter2", "line 1, entry 2: expected NAME:SHA256"),
        (f"alice:{hashed(ALICE)[:-1]}", "line 1: expected NAME:SHA256"),
        (hashed(ALICE), "line 1: expected NAME:SHA256"),
        (f"the hunter2:{hashed(ALICE)}", "line 1: the name must be"),
        (f"a:{hashed(ALICE)}\na:{hashed(BOB)}", "line 2: the name a is taken"),
        (f"a:{hashed(ALICE)}\nb:{hashed(ALICE)}", "line 2: b has the same key"),
        ("# nobody yet\n", "holds no API key"),
        ("", "holds no API key"),
    ],
)
def test_a_wrong_source_is_told_without_its_secrets(write: Writer, text: str, fault: str) -> None:
    file = write(text)
    for path, environment in ((file, {}), (None, {"DISCERN_API_KEYS": text})):
        with pytest.raises(ConfigError) as told:
            Keys.read(path, environment)
        message = str(told.value)
        assert message.startswith(str(path or "DISCERN_API_KEYS"))
        assert fault in message
        assert not any(secret in message for secret in (ALICE, "hunter2", hashed(ALICE)[:-1]))


def test_a_name_of_the_file_may_not_come_again_in_the_environment(write: Writer) -> None:
    file = write(f"alice:{hashed(ALICE)}")
    with pytest.raises(ConfigError, match=r"DISCERN_API_KEYS, line 1: the name alice"):
        Keys.read(file, {"DISCERN_API_KEYS": f"alice:{hashed(BOB)}"})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none: the API keys cannot be read"):
        Keys.read(tmp_path / "none", {})
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="binary: not a text file"):
        Keys.read(tmp_path / "binary", {})


def test_a_changed_file_is_followed_once_a_second(write: Writer) -> None:
    clock = Clock()
    keys = Keys.read(write(f"alice:{hashed(ALICE)}"), {}, clock)
    write(f"alice:{hashed(ALICE)}\nbob:{hashed(BOB)}")
    with pytest.raises(UnauthorisedError):
        keys.owner(BOB)
    clock.now += 1
    assert keys.owner(BOB) == "bob"
    write(f"bob:{hashed(BOB)}")
    clock.now += 1
    with pytest.raises(UnauthorisedError):
        keys.owner(ALICE)


@pytest.mark.parametrize("broken", [f"alice:{ALICE}", "", None])
def test_a_broken_file_keeps_the_keys_and_is_logged_once(
    write: Writer, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    file = write(f"alice:{hashed(ALICE)}")
    keys = Keys.read(file, {}, clock)
    file.unlink() if broken is None else write(broken)
    with caplog.at_level(logging.WARNING, "discern.serving"):
        for _ in range(3):
            clock.now += 1
            assert keys.owner(ALICE) == "alice"
    assert len(caplog.records) == 1
    assert "stay valid" in caplog.text
    assert ALICE not in caplog.text
    write(f"bob:{hashed(BOB)}")
    clock.now += 1
    assert keys.owner(BOB) == "bob"


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"x-api-key": "K"}, "K"),
        ({"authorization": "Bearer K"}, "K"),
        ({"authorization": "bearer  K "}, "K"),
        ({"x-api-key": "K", "authorization": "Bearer other"}, "K"),
        ({"x-api-key": " ", "authorization": "Bearer K"}, "K"),
        ({"authorization": "Basic K"}, None),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "K"}, None),
        ({"cookie": "K"}, None),
        ({}, None),
    ],
)
def test_where_a_key_stands(headers: dict[str, str], key: str | None) -> None:
    assert key_in([(n.encode(), v.encode()) for n, v in headers.items()]) == key
    assert key_in_metadata(headers) == key


@given(st.lists(st.tuples(st.sampled_from([b"x-api-key", b"authorization"]), st.binary())))
def test_no_header_is_too_strange(headers: list[tuple[bytes, bytes]]) -> None:
    keys = Keys.read(None, {"DISCERN_API_KEYS": f"alice:{hashed(ALICE)}"})
    with pytest.raises(UnauthorisedError):
        keys.owner(key_in(headers))
