"""`discern predict`: what is in these pictures? Streams, however many there are."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice, tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from discern.cli import options
from discern.cli.exit_codes import WORK_FAILED
from discern.cli.output_file import output_file
from discern.cli.terminal import Terminal
from discern.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from discern.cli.submission import Sample
    from discern.model import Model
    from discern.runtime import Prediction
    from discern.runtime.pipeline import Facts

WORTH_MEASURING = 500  # pictures; for fewer, finding the fastest engine takes longer than it saves
SINGLE = 4  # pictures up to which latency counts, not throughput

Answer = tuple[str, "Prediction"]


def predict(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    pictures: Annotated[
        list[str],
        typer.Argument(help="Files, folders, quoted globs, URLs, or - for a list on stdin."),
    ],
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write a CSV file.", rich_help_panel=options.OUTPUT)
    ] = None,
    jsonl: Annotated[
        bool,
        typer.Option("--jsonl", help="One JSON line per picture.", rich_help_panel=options.OUTPUT),
    ] = False,
    submission: Annotated[
        Path | None,
        typer.Option(
            help="A competition's sample: --csv gets its very columns and rows, or nothing. "
            "PICTURES is the folder with them.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Scores per picture in JSON.")] = 5,
    coverage: options.Coverage = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="A CSV of facts beside the pictures, for models trained with some.",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Label pictures. One that cannot be read costs its own row, with the reason."""
    from discern.cli.pictures import listed, picture
    from discern.errors import ConfigError, DatasetError
    from discern.model import load

    if (csv_file is not None) + as_json + jsonl > 1:
        raise ConfigError("--csv, --json and --jsonl exclude each other. Give one of them.")

    terminal = Terminal(as_json, quiet)
    loaded = load(model)
    facts_of = _facts(loaded, metadata)
    sample = None if submission is None else _sample(submission, loaded, pictures, csv_file)
    names = (
        listed(pictures, sys.stdin) if sample is None else iter(sample.pictures(Path(pictures[0])))
    )
    first = list(islice(names, WORTH_MEASURING))
    if not first:
        raise DatasetError("The list of pictures on stdin is empty. Give it a file name a line.")
    predictor = loaded.predictor(
        engine=engine,
        precision=precision,
        device=device,
        goal="latency" if len(first) <= SINGLE else "throughput",
        measure=len(first) == WORTH_MEASURING,
        coverage=coverage,
    )
    asked, shown, beside = tee(chain(first, names), 3)
    facts = None if facts_of is None else map(facts_of, beside)
    predictions = predictor.predict(map(picture, asked), metadata=facts)
    counted = _Counted(zip(shown, predictions, strict=True))
    total = len(first) if len(first) < WORTH_MEASURING else None
    # A bar would be drawn into lines that appear on the same screen.
    silent = csv_file is None and sys.stdout.isatty()
    with (SILENT if silent else terminal).stage("Predicting", total) as advance:
        answers = counted.advancing(advance)
        if csv_file:
            with output_file(csv_file, "--csv", overwrite) as file:
                (sample.write if sample else _write_csv)(answers, file)
        elif as_json:
            _write_json(answers, loaded, top_k)
        elif jsonl:
            _write_jsonl(answers, top_k)
        else:
            _write_table(answers, loaded, quiet)
    if counted.failed or csv_file:
        terminal.say(f"{counted.total} pictures, {counted.failed} of them could not be used.")
    if counted.failed == counted.total:
        raise typer.Exit(WORK_FAILED)


def _sample(path: Path, model: "Model", pictures: list[str], csv_file: Path | None) -> "Sample":
    """The form of the submission; ConfigError where the command does not say all it takes."""
    from discern.cli.submission import read_sample
    from discern.errors import ConfigError

    if csv_file is None:
        raise ConfigError("--submission is written as a table. Add --csv FILE.")
    if len(pictures) != 1 or not Path(pictures[0]).is_dir():
        raise ConfigError("--submission takes one folder, in which the sample's pictures lie.")
    return read_sample(path, model.info.labels)


def _facts(model: "Model", table: Path | None) -> "Callable[[str], Facts] | None":
    """What finds the facts beside a picture, as the model takes them; None where it takes none."""
    from discern.cli.facts_file import FactsFile
    from discern.cli.pictures import is_url
    from discern.errors import ConfigError
    from discern.model.facts import fact_reader

    reader = fact_reader(model.info)
    if reader is None:
        if table is not None:
            raise ConfigError("The model was trained without --metadata and takes none.")
        return None
    given = FactsFile(table, reader.spec) if table else None

    def read(name: str) -> "Facts":
        file = None if is_url(name) else name
        try:
            return reader.read(file, given.of(name) if given else {})
        except ConfigError as exc:
            raise ConfigError(f"{table}: {name}: {exc}") from exc

    return read


class _Counted:
    """Answers passing by, counted."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = answers
        self.total = self.failed = 0

    def advancing(self, advance: Any) -> Iterator[Answer]:
        for name, prediction in self._answers:
            self.total += 1
            self.failed += prediction.error is not None
            yield name, prediction
            advance(1)


def _write_table(answers: Iterable[Answer], model: "Model", quiet: bool) -> None:
    """A line per picture: probability, label, name."""
    width = max(map(len, model.info.labels))
    for name, prediction in answers:
        if prediction.error is not None:
            print(f"     –  {'':<{width}}  {name}: {prediction.error}")
        elif not quiet:
            line = f"{prediction.probability:6.1%}  {prediction.label:<{width}}  {name}"
            print(line + _remark(prediction))


def _remark(prediction: "Prediction") -> str:
    """What must not be overlooked: that it may be none of the classes, or another one."""
    if prediction.unknown:
        return "  (likely none of these)"
    others = (prediction.set or ())[1:]
    return f"  (or {', '.join(others)})" if others else ""


def _record(name: str, prediction: "Prediction", top_k: int) -> dict[str, Any]:
    if prediction.error is not None:
        return {"picture": name, "error": prediction.error}
    scores = {label: round(p, 6) for label, p in prediction.top(top_k).items()}
    return {
        "picture": name,
        "label": prediction.label,
        "probability": round(prediction.probability or 0.0, 6),
        "unknown": prediction.unknown,
        "set": prediction.set,
        "scores": scores,
    }


def _write_jsonl(answers: Iterable[Answer], top_k: int) -> None:
    for name, prediction in answers:
        print(json.dumps(_record(name, prediction, top_k), ensure_ascii=False), flush=True)


def _write_json(answers: Iterable[Answer], model: "Model", top_k: int) -> None:
    """One document, written picture by picture."""
    print(f'{{"model": {json.dumps(str(model.path))}, "predictions": [', end="")
    for i, (name, prediction) in enumerate(answers):
        record = json.dumps(_record(name, prediction, top_k), ensure_ascii=False)
        print(f"{',' if i else ''}\n {record}", end="")
    print("\n]}")


def _write_csv(answers: Iterable[Answer], file: TextIO) -> None:
    writer = csv.writer(file)
    writer.writerow(["picture", "label", "probability", "unknown", "set", "error"])
    for name, p in answers:
        probability = "" if p.probability is None else f"{p.probability:.6f}"
        unknown = "" if p.unknown is None else str(p.unknown).lower()
        together = "|".join(p.set or ())
        writer.writerow([name, p.label or "", probability, unknown, together, p.error or ""])
