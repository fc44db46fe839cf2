"""The folder of an export: what stands in it, and reading it only if nothing changed."""

import io
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

import discern
from discern.errors import ModelDamagedError, ModelFormatError
from discern.export.agreement import Answers
from discern.export.environments import pinned
from discern.export.form import Form
from discern.export.forms import form_named
from discern.export.material import HeldOut
from discern.export.parity import Bar
from discern.export.proof import Proof
from discern.export.usage import readme
from discern.model import Model, ModelInfo
from discern.model.folder import GRAPH, INFO, check_hashes, sha256_of
from discern.model.info import RESTORE, check_names, read_info
from discern.model.reference import EXPECTED, FOLDER, Reference, read_references, reference_files
from discern.whole_folder import add_file

MARK, PARITY, KIND = "export.json", "parity.json", "an export"
OWN = f"{FOLDER}/exported.json"  # the export's own answers to the reference pictures
HELD_OUT = "held-out.npz"  # which pictures proved it, and what the source said of them
FORMAT = 1
# Who converts and who runs, by the kind of the graph's file.
_PACKAGES = {".onnx": ("onnx", "onnxruntime"), ".xml": ("onnx", "onnxruntime", "openvino")}


@dataclass(frozen=True)
class Export:
    """An export that was checked on load."""

    path: Path
    form: Form
    info: ModelInfo  # of the model it was made from
    bar: Bar  # that it was held to

    @property
    def graph(self) -> Path:
        return self.path / self.form.graph

    def references(self) -> list[Reference]:
        """The reference pictures with the answers they must have: the source's, or for int8 those
        that the export gave when it was made."""
        given = read_references(self.path)
        if self.form.precision != "int8":
            return given
        own = json.loads((self.path / OWN).read_text(encoding="utf-8"))
        answers = (row["probabilities"] for row in own)
        return [replace(r, probabilities=p) for r, p in zip(given, answers, strict=True)]

    def held_out(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float32]]:
        """Which n pictures proved it: their short hashes [n], and what the source said [n, C]."""
        if not (self.path / HELD_OUT).is_file():
            return np.zeros(0, np.uint64), np.zeros((0, len(self.info.labels)), np.float32)
        with np.load(self.path / HELD_OUT) as kept:
            return kept["pictures"], kept["probabilities"]


def is_export(folder: Path) -> bool:
    """Whether the folder says that it is an export."""
    return (folder / MARK).is_file()


def load_export(folder: str | Path) -> Export:
    """Load an export; ModelError says which file is missing, changed or too new."""
    path = Path(folder)
    record = _record(path / MARK)
    try:
        check_names(record["files"])
        form, bar = form_named(record["form"]), Bar(**record["bar"])
    except (KeyError, TypeError, ValueError) as exc:
        raise ModelDamagedError(f"{path / MARK}: {exc}. {RESTORE}") from exc
    check_hashes(path, record["files"])
    return Export(path, form, read_info(path / INFO), bar)


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ModelFormatError(
            f"{path.parent}: is not an export (it has no {MARK}). "
            "Make one with: discern export MODEL --format onnx -o EXPORT"
        ) from exc
    except (OSError, ValueError) as exc:
        raise ModelDamagedError(f"{path}: cannot be read ({exc}). {RESTORE}") from exc
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise ModelFormatError(f"{path}: is not discern's (it has no format number).")
    if record["format"] > FORMAT:
        raise ModelFormatError(
            f"{path}: has format {record['format']}; this discern reads up to {FORMAT}. "
            "Upgrade: pip install --upgrade discern"
        )
    return record


def fill(stage: Path, form: Form, model: Model, proof: Proof) -> None:
    """Put everything beside the graph that an export has; last what names it all."""
    for name, content in _files(form, model, proof).items():
        add_file(stage / name, content)
    files = sorted(p.relative_to(stage).as_posix() for p in stage.rglob("*") if p.is_file())
    record = {
        "format": FORMAT,
        "form": form.name,
        "precision": form.precision,
        "graph": form.graph,
        "inputs": model.info.inputs,
        "outputs": model.info.outputs,
        "source": {
            "name": model.path.resolve().name,
            INFO: sha256_of(model.path / INFO),
            GRAPH: model.info.files[GRAPH],
        },
        "bar": asdict(proof.parity.bar),
        "versions": dict(proof.parity.versions),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {name: sha256_of(stage / name) for name in files},
    }
    add_file(stage / MARK, json.dumps(record, indent=1).encode())


def _files(form: Form, model: Model, proof: Proof) -> dict[str, bytes | Path]:
    info, parity = model.info, proof.parity
    files: dict[str, bytes | Path] = {
        INFO: model.path / INFO,
        "labels.json": json.dumps(info.labels, indent=1, ensure_ascii=False).encode(),
        "preprocessing.json": json.dumps(info.preprocess.to_dict(), indent=1).encode(),
        PARITY: json.dumps(parity.to_dict(), indent=1, ensure_ascii=False).encode(),
        "README.md": readme(form, info, parity, f"{FOLDER}/{model.references[0].name}").encode(),
        **reference_files(model.references),
        OWN: _own_answers(model, proof.reference),
    }
    if proof.source is not None:
        files[HELD_OUT] = _held_out(proof.held_out, proof.source)
    return files


def _own_answers(model: Model, answers: Answers) -> bytes:
    own = [
        Reference(r.name, r.data, dict(zip(model.info.labels, row.tolist(), strict=True)))
        for r, row in zip(model.references, answers.probabilities, strict=True)
    ]
    return reference_files(own)[EXPECTED]


def _held_out(pictures: HeldOut, source: Answers) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, pictures=pictures.digests, probabilities=source.probabilities)
    return file.getvalue()


def versions(form: Form) -> dict[str, str]:
    """Of discern, and of what makes and runs this form."""
    found = {"discern": discern.__version__}
    suffix = PurePosixPath(form.graph).suffix
    if suffix not in _PACKAGES:
        return found | dict(pinned("tensorflow"))
    for package in _PACKAGES[suffix]:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def size(graph: Path) -> int:
    """Bytes of a graph: of a folder, or of a file and the weights that OpenVINO puts beside it."""
    files = graph.rglob("*") if graph.is_dir() else (graph, graph.with_suffix(".bin"))
    return sum(file.stat().st_size for file in files if file.is_file())
