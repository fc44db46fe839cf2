"""Reference pictures: a few small ones kept in the model with the answers expected for them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from discern.errors import ModelDamagedError, PictureError
from discern.images import decode, read_bytes

FOLDER = "reference"
EXPECTED = f"{FOLDER}/expected.json"
AT_LEAST, AT_MOST = 8, 16
KEEP_BYTES = 64 * 1024  # a picture this small is kept as it is
SIDE = 512  # a larger one is shrunk to fit this square


@dataclass(frozen=True)
class Reference:
    """One reference picture and the probabilities expected for it, by label."""

    name: str
    data: bytes
    probabilities: Mapping[str, float]


def small_form(data: bytes) -> bytes:
    """The picture itself if small, else a JPEG of it within 512 x 512; raises PictureError."""
    if len(data) <= KEEP_BYTES:
        decode(data)  # a picture that cannot be decoded is none
        return data
    image = decode(data, at_least=(SIDE, SIDE))
    image.thumbnail((SIDE, SIDE))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def small_forms(pictures: Iterable[Path], limit: int) -> list[bytes]:
    """Small forms of the first `limit` pictures that can be decoded."""
    found: list[bytes] = []
    for path in pictures:
        if len(found) == limit:
            break
        try:
            found.append(small_form(read_bytes(path)))
        except PictureError:
            continue
    return found


def reference_files(references: Iterable[Reference]) -> dict[str, bytes]:
    """What is written into the model folder for these pictures."""
    references = list(references)
    files = {f"{FOLDER}/{r.name}": r.data for r in references}
    expected = [{"picture": r.name, "probabilities": r.probabilities} for r in references]
    return files | {EXPECTED: json.dumps(expected, indent=1).encode()}


def read_references(folder: Path) -> list[Reference]:
    """The reference pictures of a model folder; ModelDamagedError if they cannot be used."""
    try:
        expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))
        return [_reference(folder / FOLDER, **entry) for entry in expected]
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise ModelDamagedError(f"{folder / EXPECTED}: cannot be used ({exc}).") from exc


def _reference(folder: Path, picture: str, probabilities: Mapping[str, float]) -> Reference:
    if Path(picture).name != picture or not probabilities:
        raise ValueError(f"{picture!r} is no picture with an answer")
    answers = {label: float(p) for label, p in probabilities.items()}
    return Reference(picture, (folder / picture).read_bytes(), answers)


def suffix(data: bytes) -> str:
    """A file suffix for encoded bytes; the decoder itself never looks at it."""
    kinds = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"BM", ".bmp"))
    return next((name for magic, name in kinds if data.startswith(magic)), ".img")


def spread(margins: np.ndarray) -> list[int]:
    """Which candidates to keep: those whose first answer is clear enough that a different
    processor's rounding cannot turn it, or all if those are too few."""
    clear = [int(i) for i in np.flatnonzero(margins > 0.1)]
    return (clear if len(clear) >= AT_LEAST else list(range(len(margins))))[:AT_MOST]
