"""What the docs say can be done: commands exist, examples run, pages build and lead somewhere."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from command_lines import complaint, fenced, in_markdown, inline
from discern.cli import main
from discern.data import load_dataset, readers
from discern.errors import DatasetError

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
READER = ROOT / "docs/guides/writing-a-reader.md"
# Commands that the front pages show and that are run here as they stand there. `discern demo` is
# run by test_demo.py, serving by tests/serving; training and comparing need backbones from a hub.
EXECUTED = ("evaluate", "explain", "inspect", "predict", "verify")


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> str:
    return request.param.read_text(encoding="utf-8")


def test_every_command_is_one(page: str) -> None:
    whole = [(complaint(words), words) for words in in_markdown(page)]
    part = [(complaint(words, whole=False), words) for words in inline(page)]
    assert [found for found in whole + part if found[0]] == []


def test_commands_are_found_and_refused() -> None:
    found = [words for p in PAGES for words in in_markdown(p.read_text(encoding="utf-8"))]
    assert len(found) > 40
    assert {"train", "evaluate", "predict", "serve", "gateway", "deploy"} <= {f[0] for f in found}
    block = (
        "```\n$ discern trian a -o b\ndiscern train a   # no -o\ndiscern serve m --prot 1\n```\n"
    )
    assert [bool(complaint(words)) for words in in_markdown(block)] == [True, True, True]
    assert complaint(["verify", "a", "b"]) == "unexpected: b"
    assert inline("see `discern compare --x`") == [["compare", "--x"]]
    assert in_markdown("```\ncat a | discern predict M - && discern verify M  --engine b\n```") == [
        ["predict", "M", "-"],
        ["verify", "M", "--engine", "b"],
    ]


def test_python_compiles(page: str) -> None:
    for block in fenced(page, "python"):
        compile(block, "<page>", "exec")


@pytest.fixture
def front_page_folder(
    make_model: Callable[..., Path],
    pictures: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with what the front pages name: my-model, photos/, new/a.jpg, new/b.jpg."""
    root = tmp_path / "front"
    make_model(root / "my-model", dataset={"fingerprint": "other", "counts": {}, "split": {}})
    for i, picture in enumerate(pictures[5:]):
        target = root / "photos" / ("cat", "dog", "fish")[i % 3] / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, target)
    (root / "new").mkdir()
    for name, picture in zip(("a.jpg", "b.jpg"), pictures, strict=False):
        shutil.copy(picture, root / "new" / name)
    monkeypatch.chdir(root)
    return root


def front_page_commands() -> Iterator[list[str]]:
    for name in ("README.md", "docs/index.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        yield from (words for words in in_markdown(text) if words[0] in EXECUTED)


@pytest.mark.usefixtures("front_page_folder")
def test_the_front_pages_commands_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = list(front_page_commands())
    assert {words[0] for words in commands} >= {"evaluate", "explain", "predict"}
    for words in commands:
        for written in ("report.html", "report.md", "heat.png"):
            Path(written).unlink(missing_ok=True)
        monkeypatch.setattr(sys, "argv", ["discern", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0, (words, capsys.readouterr().err)


# The reader of the guide, as it stands there.


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The layout of the guide, with its reader put in; a folder with its index and pictures."""
    page = READER.read_text(encoding="utf-8")
    code, *_ = fenced(page, "python")
    (index,) = fenced(page, "json")
    module = tmp_path / "batches.py"
    module.write_text(code, encoding="utf-8")
    spec = spec_from_file_location("batches", module)
    assert spec is not None and spec.loader is not None
    reader = module_from_spec(spec)
    spec.loader.exec_module(reader)
    monkeypatch.setattr(readers, "READERS", (reader, *readers.READERS))
    root = tmp_path / "cifar"
    root.mkdir()
    (root / "batches.json").write_text(index, encoding="utf-8")
    for name in re.findall(r'"(\w\.png)"', index):
        (root / name).write_bytes(b"")
    return root


def test_the_guides_reader_reads(batches: Path) -> None:
    dataset = load_dataset(batches)
    assert dataset.source == "batches named by batches.json"
    assert dataset.labels.tolist() == ["aquatic mammals", "fish", "fish"]
    assert dataset.splits.tolist() == ["train", "train", "test"]
    assert load_dataset(batches, layout="batches").classes == dataset.classes


def test_the_guides_reader_refuses(batches: Path) -> None:
    with pytest.raises(DatasetError, match="knows no --label-column"):
        load_dataset(batches, label_column="x")
    (batches / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"b\.png: is in batches\.json, but not there"):
        load_dataset(batches)
    (batches / "batches.json").write_text("{")
    with pytest.raises(DatasetError, match="is not JSON"):
        load_dataset(batches)


def test_the_guides_reader_leaves_others_alone(batches: Path, pictures: list[Path]) -> None:
    for label in ("a", "b"):
        folder = batches.parent / "plain" / label
        folder.mkdir(parents=True)
        shutil.copy(pictures[0], folder)
    assert load_dataset(batches.parent / "plain").source.startswith("a folder per class")


# The site.


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a broken link or anchor, or a page that is in no menu, is a failure."""
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    output = tmp_path_factory.mktemp("site")
    call = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(output)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_the_site_needs_no_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for built in pages:
        text = built.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"?(?:https?:)?//[^\s\">]+", text)
        loaded += re.findall(r"<link[^>]+href=\"?(?:https?:)?//[^\s\">]+", text)
        assert loaded == [], built.name
    assert (site / "search/search_index.json").is_file()
