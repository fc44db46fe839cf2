"""The verb: from a dataset to all that is to be known of it before training."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from ordinary_pictures import ordinary, saved
from PIL import Image

import discern
from discern.data import Dataset
from discern.data.dataset import Row
from discern.errors import BackboneError
from discern.images import PreprocessSpec
from discern.inspection.inspect import inseparable, inspect
from discern.survey.duplicates import Group
from discern.training import backbones
from discern.training.backbones import DEFAULT, Backbone, write_entry

BOX = (16, 12, 306, 228)  # of 320 × 240: a little off every side


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """photos/0.png … 11.png, each with something else in it."""
    for i in range(12):
        saved(tmp_path / f"photos/{i}.png", ordinary(i))
    return tmp_path / "photos"


def dataset_of(root: Path, *rows: Row) -> Dataset:
    return Dataset.from_rows(root, rows)


def twelve(label: Callable[[int], str] = lambda i: "ab"[i % 2]) -> list[Row]:
    return [Row(f"{i}.png", label(i)) for i in range(12)]


def looked_at(dataset: Dataset, **options: bool) -> discern.Inspection:
    return inspect(dataset, backbone="none", **options)


def test_duplicates_leaks_first_then_conflicts_then_the_larger(root: Path) -> None:
    for original, copies in {0: 1, 1: 2, 2: 3, 3: 1}.items():
        for k in range(copies):
            shutil.copy(root / f"{original}.png", root / f"{original}-{k}.png")
    dataset = dataset_of(
        root,
        *(Row("1.png", "a", "train"), Row("1-0.png", "a", "train"), Row("1-1.png", "a", "train")),
        *(Row("0.png", "a", "train"), Row("0-0.png", "a", "unlabelled")),
        *(Row("2.png", "b", "train"), Row("2-0.png", "a", "train"), Row("2-1.png", "", "train")),
        *(Row("2-2.png", "b", ""), Row("3.png", "b", "test"), Row("3-0.png", "b", "train")),
        *(Row("4.png", "a", "train"), Row("5.png", "b", "test")),
    )
    found = looked_at(dataset)
    assert [(g.samples, g.labels, g.splits) for g in found.duplicates] == [
        ((9, 10), ("b",), ("train", "test")),
        ((5, 6, 7, 8), ("a", "b"), ("train",)),
        ((0, 1, 2), ("a",), ("train",)),
        ((3, 4), ("a",), ("train",)),  # a picture to be predicted is in no split
    ]
    assert {g.kind for g in found.duplicates} == {"bytes"}
    assert found.leaks == found.duplicates[:1]
    assert found.conflicts == found.duplicates[1:2]


def test_near_duplicates_and_mirrored_ones_where_asked_for(root: Path) -> None:
    saved(root / "near.jpg", ordinary(3).crop(BOX).resize((200, 150)), "JPEG", quality=70)
    saved(root / "mirrored.png", ordinary(4).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    dataset = dataset_of(root, *twelve(), Row("near.jpg", "b"), Row("mirrored.png", "a"))
    assert [(g.samples, g.kind) for g in looked_at(dataset).duplicates] == [((3, 12), "near")]
    both = looked_at(dataset, mirrored=True).duplicates
    assert [g.samples for g in both] == [(3, 12), (4, 13)]


def test_bad_files_have_their_reason_and_wrong_suffixes_are_no_error(root: Path) -> None:
    saved(root / "png.jpg", ordinary(20), "PNG")
    (root / "text.png").write_text("a letter")
    (root / "empty.png").touch()
    rows = [Row("text.png", "a"), *twelve(), Row("gone.png", ""), Row("png.jpg", "a")]
    found = looked_at(dataset_of(root, *rows, Row("empty.png", "b")))
    assert [(bad.sample, bad.reason) for bad in found.bad] == [
        (0, "not a picture: unknown format"),
        (13, "cannot be read: no such file or directory"),
        (15, "empty file"),
    ]
    assert found.looks.samples.tolist() == [*range(1, 13), 14]
    assert (found.looks.format[-1], found.looks.width[-1]) == ("PNG", 320)
    assert found.looks.bytes[0] == (root / "0.png").stat().st_size


@pytest.mark.parametrize(
    ("rows", "pictures"),
    [
        ([], 0),
        ([Row("gone.png", "a"), Row("gone-too.png", "b")], 0),
        ([Row("0.png", "")], 1),
        ([Row("0.png", "a", "train"), Row("1.png", "a", "train"), Row("2.png", "a")], 3),
        (twelve(lambda _: ""), 12),
    ],
    ids=["empty", "all bad", "one picture", "one class", "no labels"],
)
def test_whatever_the_dataset_there_is_an_inspection(
    rows: list[Row], pictures: int, root: Path, kept_default: Backbone
) -> None:
    found = discern.inspect(dataset_of(root, *rows))
    assert len(found.looks.samples) == pictures
    assert len(found.bad) == len(rows) - pictures
    assert (found.duplicates, found.odd, found.leaks) == ((), (), ())
    assert (found.labels is not None) == (pictures > 0)
    (remark,) = found.remarks
    assert remark.startswith(("Labels were not checked", "No labels were checked"))
    assert found.labels is None or found.labels.backbone == kept_default.name
    assert json.loads(json.dumps(found.to_dict()))["remarks"] == [remark]
    assert remark[:20] in found.to_html()
    assert found._repr_html_()
    assert found.seconds > 0


@pytest.fixture
def kept_default(make_graph: Callable[..., Path], cache: Path) -> Backbone:
    """A tiny network that the cache has under the name of the default backbone."""
    name = backbones.SHORT_NAMES[DEFAULT]
    folder = cache / "backbones" / "tiny"
    folder.mkdir(parents=True)
    size = PreprocessSpec(16, 16)
    tiny = Backbone(name, "tiny", {}, "tiny", folder, 8, size, (0,) * 3, (1,) * 3, "")
    shutil.copy(make_graph(head=False), tiny.graph)
    tiny.weights.touch()
    write_entry(tiny)
    backbones._record(name, "pretrained", None, 0).write_text("tiny")
    return tiny


def tinted(root: Path, seed: int, colour: str) -> Path:
    """A picture with a colour over it."""
    picture = ordinary(seed)
    tint = Image.new("RGB", picture.size, colour)
    return saved(root / f"{colour}/{seed}.png", Image.blend(picture, tint, 0.6))


def test_labels_are_checked_where_the_cache_has_the_default_backbone(
    tmp_path: Path, kept_default: Backbone
) -> None:
    rows = []
    for seed in range(24):
        colour = ("red", "blue")[seed % 2]
        path = tinted(tmp_path, 100 + seed, colour)
        rows.append(Row(str(path.relative_to(tmp_path)), "red" if seed == 5 else colour))
    dataset = dataset_of(tmp_path, *rows)
    found = inspect(dataset, seed=1)
    assert found.remarks == ()
    assert found.labels is not None
    assert (found.labels.backbone, found.labels.checked) == (kept_default.name, 24)
    suspect = found.labels.suspects[0]
    assert (suspect.sample, suspect.given, suspect.suggested) == (5, "red", "blue")
    again = inspect(dataset, seed=2).labels
    assert again is not None
    assert again.suspects[0].probability != suspect.probability  # other folds


def test_copies_are_not_judged_by_each_other(root: Path, kept_default: Backbone) -> None:
    saved(root / "again.png", ordinary(3), compress_level=1)
    rows = twelve(lambda i: "c" if i == 3 else "ab"[i % 2])
    found = inspect(dataset_of(root, *rows, Row("again.png", "c")), backbone=kept_default.name)
    assert [(g.samples, g.kind) for g in found.duplicates] == [((3, 12), "pixels")]
    assert found.labels is not None
    assert found.labels.checked == 11  # no other picture of class c can be learned from
    assert found.remarks == (found.labels.remark,) != ("",)


def test_without_the_default_backbone_a_line_says_how_to_get_it(root: Path) -> None:
    found = inspect(dataset_of(root, *twelve()))
    assert found.labels is None
    assert found.remarks == (
        "Labels were not checked and no outliers looked for: no backbone was named, and the "
        f"default is not in the cache. Name one, such as {DEFAULT}, and it is fetched.",
    )
    assert looked_at(found.dataset).remarks == (
        "Labels were not checked and no outliers looked for: no backbone was wanted.",
    )


def test_without_scikit_learn_a_line_says_so_unless_a_backbone_was_named(
    root: Path, kept_default: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    dataset = dataset_of(root, *twelve())
    assert inspect(dataset).remarks == (
        "Labels were not checked and no outliers looked for: that needs sklearn. "
        "Install it with: pip install 'discern[train]'",
    )
    with pytest.raises(BackboneError, match="Checking labels needs sklearn"):
        inspect(dataset, backbone=kept_default.name)
    assert looked_at(dataset).remarks[0].endswith("no backbone was wanted.")


def test_a_named_backbone_that_cannot_be_had_is_an_error(root: Path) -> None:
    with pytest.raises(BackboneError, match=r"has no config\.json"):
        inspect(dataset_of(root, *twelve()), backbone=f"local-dir:{root}")


def test_duplicates_and_groups_that_share_a_picture_are_inseparable(root: Path) -> None:
    rows = [
        row._replace(group=dict(enumerate("xxyy")).get(i, "")) for i, row in enumerate(twelve())
    ]
    dataset = dataset_of(root, *rows)
    names = inseparable(dataset, [Group((1, 4), "bytes"), Group((6, 7), "near")]).tolist()
    assert names[0] == names[1] == names[4] != ""
    assert names[2] == names[3] not in ("", names[0], names[6])
    assert names[6] == names[7] not in ("", names[0])
    assert {names[5], *names[8:]} == {""}


class Stages:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int | None]] = []

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
        self.begun.append((name, total))
        yield lambda _steps: None

    def say(self, message: str) -> None:
        raise AssertionError(f"nothing to say, but: {message}")


def test_progress_is_told_stage_by_stage(root: Path, kept_default: Backbone) -> None:
    told = Stages()
    inspect(dataset_of(root, *twelve()), backbone=kept_default.name, progress=told)
    names = [name for name, _ in told.begun]
    assert names[0] == f"Backbone {kept_default.name}"
    assert ("Looking at pictures", 12) in told.begun
    assert names.index("Looking at pictures") < names.index("Comparing pixels")
    assert names.index("Comparing pixels") < names.index("Embedding")


def test_nothing_about_the_dataset_changes(root: Path) -> None:
    dataset = dataset_of(root, *twelve())
    before = {path: path.read_bytes() for path in root.iterdir()}
    found = looked_at(replace(dataset, source="photos"))
    assert found.dataset.copies is None
    assert found.dataset.fingerprint == dataset.fingerprint
    assert {path: path.read_bytes() for path in root.iterdir()} == before
