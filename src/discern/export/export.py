"""A model in another form, written only if it gives the same answers there."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from discern.data import Dataset
from discern.errors import ConfigError
from discern.export.agreement import Answers
from discern.export.folder import KIND, MARK, Export, fill, load_export, size, versions
from discern.export.form import Conversion, Form
from discern.export.forms import form_named
from discern.export.material import HeldOut, Material, digests_of, gather, require_enough
from discern.export.parity import Parity, bar_of, require
from discern.export.proof import Proof, prove, prove_again
from discern.export.timing import paces
from discern.model import Model
from discern.model.model import short_digest
from discern.progress import SILENT, Progress
from discern.runtime import machine
from discern.runtime.engine import Engine, create_engine
from discern.whole_folder import check_folder, whole_folder


@dataclass(frozen=True)
class Exported:
    """An export that was made, and its proof."""

    export: Export
    parity: Parity


def export_model(
    model: Model,
    output: str | Path,
    form: str,
    *,
    data: Dataset | None = None,
    accuracy_loss: float = 0.01,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Exported:
    """Write `model` in another form to the folder `output`, once it is proved.

    Pictures of `data` that the model was trained on calibrate int8; the others show, beside the
    reference pictures, that the answers are the same, or for int8 that no more accuracy is lost
    than `accuracy_loss`, a share of the labelled ones. ParityError where they are not,
    ExportError where it cannot be converted, ConfigError for an unknown form or too few pictures,
    OutputError where it cannot be written: then there is no folder.
    """
    chosen, folder = form_named(form), Path(output)
    if not 0 <= accuracy_loss <= 1:
        raise ConfigError(f"accuracy_loss is {accuracy_loss}; expected a share, 0 to 1.")
    check_folder(folder, overwrite, mark=MARK, kind=KIND)
    material = gather(model, data, chosen, progress)
    chosen.prepare(progress.say)
    with whole_folder(folder, overwrite, mark=MARK, kind=KIND) as stage:
        parity = _made(stage, model, chosen, accuracy_loss, material, progress)
    return Exported(load_export(folder), parity)


def _made(
    stage: Path,
    model: Model,
    form: Form,
    accuracy_loss: float,
    material: Material,
    progress: Progress,
) -> Parity:
    """Fill the folder; ParityError where the export does not agree."""
    graph = stage / form.graph
    graph.parent.mkdir(parents=True, exist_ok=True)
    with progress.stage(f"Converting to {form.name}", None):
        form.convert(Conversion(model, graph, material.calibration))
    source, exported = create_engine(model.graph, "onnxruntime"), form.open(graph)
    bar = bar_of(form.precision, accuracy_loss)
    proof = prove(form, bar, model, source, exported, material, progress)
    for picture, why in proof.parity.left_out.items():
        progress.say(f"Left out: {picture}: {why}")
    require(proof.parity)
    proof = replace(proof, parity=_measured(proof, model, source, exported, graph, form, progress))
    fill(stage, form, model, proof)
    return proof.parity


def _measured(
    proof: Proof,
    model: Model,
    source: Engine,
    exported: Engine,
    graph: Path,
    form: Form,
    progress: Progress,
) -> Parity:
    """The parity with speeds, sizes and what they were measured on."""
    pictures = [reference.data for reference in model.references]
    with progress.stage("Measuring speed", None):
        speed = paces({"source": source, "export": exported}, model.info.preprocess, pictures)
    return replace(
        proof.parity,
        speed=speed,
        bytes={"source": size(model.graph), "export": size(graph)},
        versions=versions(form),
        machine=_machine(),
    )


def _machine() -> dict[str, str | int]:
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": machine.cores(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def verify_export(
    export: Export, data: Dataset | None = None, *, progress: Progress = SILENT
) -> Parity:
    """Does an export still give the answers it was proved with, on this machine?

    On its reference pictures, and on those of `data` that proved it when it was made; its source
    is not needed. The hashes were checked when it was loaded. ConfigError where none of them is
    in `data`, or too few for int8.
    """
    held_out = None if data is None else _found_again(export, data, progress)
    export.form.prepare(progress.say)
    engine = export.form.open(export.graph)
    return replace(
        prove_again(
            export.form, export.bar, export.info, engine, export.references(), held_out, progress
        ),
        bytes={"export": size(export.graph)},
        versions=versions(export.form),
        machine=_machine(),
    )


def _found_again(export: Export, data: Dataset, progress: Progress) -> tuple[HeldOut, Answers]:
    """Those pictures of the data that proved the export, and what its source said of each."""
    kept, probabilities = export.held_out()
    found = digests_of(data, "Looking for the held-out pictures", progress)
    digests = [short_digest(digest) for digest in found]
    row = {digest: i for i, digest in enumerate(kept.tolist())}
    at = [i for i, digest in enumerate(digests) if digest in row]
    if not at:
        raise ConfigError(
            f"{data.root}: has none of the {len(kept)} pictures that {export.path} was proved "
            "with. Give the data that was given to discern export."
        )
    part = data.where(np.array(at))
    names = np.array([digests[i] for i in at], np.uint64)
    pictures = HeldOut(tuple(part.files()), tuple(part.labels.tolist()), names)
    require_enough(export.form, pictures.labelled)
    rows: Sequence[int] = [row[digests[i]] for i in at]
    return pictures, Answers(probabilities[rows], None)
