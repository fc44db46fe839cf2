"""None of these: how strange a picture is to a model, and from where on it is refused.

Five scores, higher for stranger pictures. Which one is kept, and its threshold, is decided in
training; here are the arrays that it needs, and what is made of them. The last three look at an
embedding's direction only, its length says more of contrast than of contents.

- maximum_probability: of the likeliest class (Hendrycks and Gimpel 2017)
- energy: the logarithm of the summed exponentials of the logits (Liu et al. 2020)
- nearest_neighbours: cosine distance to a training picture close by (Sun et al. 2022)
- mahalanobis: distance to the nearest class mean, all classes of one covariance (Lee et al. 2018)
- virtual_logit: energy, and the part outside of the training pictures' principal directions
  (Wang et al. 2022)
"""

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from discern.errors import ModelDamagedError
from discern.model.info import RESTORE

Floats = npt.NDArray[np.floating]
Arrays = Mapping[str, npt.NDArray[np.float32]]
Shape = tuple[str, ...]  # an array's dimensions; those of one name have one size

NEIGHBOUR = 2  # which neighbour counts: the first may be a training picture that is itself strange


@dataclass(frozen=True)
class Evidence:
    """What scores are made from, for N pictures."""

    directions: Floats  # [N, D], of unit length
    probabilities: Floats  # [N, C]
    energies: Floats  # [N], zeros for scores without a head


@dataclass(frozen=True)
class Unknown:
    """A score with its arrays; a picture that scores above the threshold is none of the classes."""

    score: str
    threshold: float
    arrays: Arrays

    @property
    def needs_embedding(self) -> bool:
        """Whether the score looks at more than the probabilities."""
        return self.score != "maximum_probability"

    def scores(self, embeddings: Floats, probabilities: Floats) -> Floats:
        """Scores [N] of pictures by embedding [N, D] and calibrated probabilities [N, C]."""
        towards = directions(embeddings, power=bool(self.arrays["power"]))
        inputs = towards if self.arrays["power"] else embeddings
        energies = _head_energies(self.arrays, inputs)
        return SCORES[self.score](self.arrays, Evidence(towards, probabilities, energies))

    def to_bytes(self) -> bytes:
        """The content of an .npz file, without pickle."""
        buffer = BytesIO()
        rule = {"score": np.array(self.score), "threshold": np.array(self.threshold)}
        np.savez(buffer, allow_pickle=False, **rule, **self.arrays)
        return buffer.getvalue()


def directions(embeddings: Floats, power: bool) -> Floats:
    """Embeddings [N, D] at unit length, after the square root where the head takes it too."""
    rooted = np.sqrt(np.maximum(embeddings, 0)) if power else embeddings
    lengths = np.sqrt(_squares(rooted))
    unit: Floats = rooted / np.maximum(lengths, 1e-6)[:, None]
    return unit


def energies(logits: Floats) -> Floats:
    """[N] of logits [N, C]; the lower, the surer the head that there is something it knows."""
    highest = logits.max(axis=1)
    total: Floats = -highest - np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return total


def outside(arrays: Arrays, towards: Floats) -> tuple[Floats, Floats]:
    """Coordinates [N, K] in the basis, and the squared length [N] of what is outside of it."""
    centred = towards - arrays["mean"]
    inside = centred @ arrays["basis"]
    return inside, np.maximum(_squares(centred) - _squares(inside), 0)


def _squares(rows: Floats) -> Floats:
    """The squared length [N] of each row [N, D], in one pass."""
    squares: Floats = np.einsum("nd,nd->n", rows, rows)
    return squares


def _maximum_probability(_: Arrays, evidence: Evidence) -> Floats:
    highest: Floats = evidence.probabilities.max(axis=1)
    return -highest


def _energy(_: Arrays, evidence: Evidence) -> Floats:
    return evidence.energies


def _nearest_neighbours(arrays: Arrays, evidence: Evidence) -> Floats:
    similar = evidence.directions @ arrays["neighbours"].T
    k = min(NEIGHBOUR, similar.shape[1])
    distances: Floats = 1 - np.partition(similar, -k, axis=1)[:, -k]
    return distances


def _mahalanobis(arrays: Arrays, evidence: Evidence) -> Floats:
    inside, rest = outside(arrays, evidence.directions)
    whitened, centres = inside @ arrays["whitening"], arrays["centres"]
    squares = (whitened**2).sum(1)[:, None] - 2 * whitened @ centres.T + (centres**2).sum(1)
    distances: Floats = squares.min(axis=1) + rest / arrays["rest_variance"]
    return distances


def _virtual_logit(arrays: Arrays, evidence: Evidence) -> Floats:
    _, rest = outside(arrays, evidence.directions)
    scores: Floats = evidence.energies + arrays["scale"] * np.sqrt(rest)
    return scores


def _head_energies(arrays: Arrays, inputs: Floats) -> Floats:
    """Energies [N] by the head among the arrays, as Head.logits has it; zeros without one."""
    layers = _layers(arrays)
    for i in range(layers):
        inputs = inputs @ arrays[f"weight.{i}"] + arrays[f"bias.{i}"]
        if i < layers - 1:
            inputs = np.maximum(inputs, 0)
    return energies(inputs) if layers else np.zeros(len(inputs), np.float32)


def _layers(arrays: Arrays) -> int:
    return sum(name.startswith("weight.") for name in arrays)


SCORES: Mapping[str, Callable[[Arrays, Evidence], Floats]] = MappingProxyType(
    {  # the simplest first
        "maximum_probability": _maximum_probability,
        "energy": _energy,
        "nearest_neighbours": _nearest_neighbours,
        "mahalanobis": _mahalanobis,
        "virtual_logit": _virtual_logit,
    }
)
WITH_HEAD = ("energy", "virtual_logit")
SHAPES: Mapping[str, Mapping[str, Shape]] = MappingProxyType(
    {
        "maximum_probability": {},
        "energy": {},
        "nearest_neighbours": {"neighbours": ("n", "D")},
        "mahalanobis": {
            "mean": ("D",),
            "basis": ("D", "K"),
            "whitening": ("K", "K"),
            "centres": ("C", "K"),
            "rest_variance": (),
        },
        "virtual_logit": {"mean": ("D",), "basis": ("D", "K"), "scale": ()},
    }
)


def read_unknown(data: bytes, where: Path | str = "unknown.npz") -> Unknown:
    """The rule that `to_bytes` wrote; ModelDamagedError, naming `where`, if it is none."""
    try:
        with np.load(BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        score, threshold = str(arrays.pop("score")), float(arrays.pop("threshold"))
        _check(score, threshold, arrays)
    except UNREADABLE as exc:
        raise ModelDamagedError(f"{where}: cannot be used ({exc}). {RESTORE}") from exc
    return Unknown(score, threshold, arrays)


UNREADABLE = (
    AttributeError,  # what is read is a single array
    EOFError,
    KeyError,
    NotImplementedError,  # packed in a way that is not known
    OSError,
    RuntimeError,  # encrypted
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def _check(score: str, threshold: float, arrays: Arrays) -> None:
    """ValueError unless these are all the arrays that the score needs, and fit each other."""
    if score not in SHAPES:
        raise ValueError(f"score {score!r} is not known")
    if not np.isfinite(threshold):
        raise ValueError(f"threshold is {threshold}")
    wanted = {"power": (), **SHAPES[score], **_head_shapes(score, arrays)}
    if wanted.keys() != arrays.keys():
        raise ValueError(f"{score} needs {', '.join(wanted)} but has {', '.join(arrays)}")
    sizes: dict[str, int] = {}
    for name, shape in wanted.items():
        _check_array(name, arrays[name], shape, sizes)


def _head_shapes(score: str, arrays: Arrays) -> dict[str, Shape]:
    if score not in WITH_HEAD:
        return {}
    shapes: dict[str, Shape] = {}
    for i in range(max(1, _layers(arrays))):
        shapes[f"weight.{i}"] = (f"inputs {i}" if i else "D", f"inputs {i + 1}")
        shapes[f"bias.{i}"] = (f"inputs {i + 1}",)
    return shapes


def _check_array(name: str, array: Floats, shape: Shape, sizes: dict[str, int]) -> None:
    """ValueError unless the array has this shape; `sizes` are those found so far."""
    if array.dtype != np.float32 or array.ndim != len(shape) or 0 in array.shape:
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is not finite")
    for dimension, size in zip(shape, array.shape, strict=True):
        if sizes.setdefault(dimension, size) != size:
            raise ValueError(f"{name} is {list(array.shape)}, another array has {sizes[dimension]}")
