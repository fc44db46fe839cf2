"""`discern export`: the model in another form, proved to give the same answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from discern.cli import options
from discern.cli.terminal import Terminal

if TYPE_CHECKING:
    from discern.export.export import Exported


class WithForms(TyperCommand):
    """A command whose help lists the forms; they are looked up when it is shown."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from discern.export.forms import FORMS

        self.epilog = "\n\n".join(
            ["Forms:", *(f"{form.name}: {form.about}" for form in FORMS.values())]
        )
        super().format_help(ctx, formatter)


def export(
    model: Annotated[Path, typer.Argument(help="A model folder.")],
    form: Annotated[str, typer.Option("--format", "-f", help="Which form; they are listed below.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder to write.", rich_help_panel="Output")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="The data that the model was trained on, with pictures it was not: those prove "
            "the export, the others calibrate int8.",
            rich_help_panel=options.DATA,
        ),
    ] = None,
    accuracy_loss: Annotated[
        float,
        typer.Option(
            help="The share of held-out pictures by which int8 may be less accurate.",
            rich_help_panel=options.PROMISES,
        ),
    ] = 0.01,
    layout: options.Layout = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    split_column: options.SplitColumn = None,
    group_column: options.GroupColumn = None,
    images: options.Images = None,
    labels: options.Labels = None,
    level: options.Level = None,
    exclude: options.Exclude = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the model in another form, if it gives the same answers there."""
    from discern.data import load_dataset
    from discern.export.export import export_model
    from discern.export.forms import form_named
    from discern.model import load

    terminal = Terminal(as_json, quiet)
    form_named(form)  # a typo is told before any data are read
    reading: dict[str, Any] = {
        "layout": layout,
        "image_column": image_column,
        "label_column": label_column,
        "split_column": split_column,
        "group_column": group_column,
        "images": images,
        "labels": labels,
        "level": level,
        "exclude": exclude or (),
        "progress": terminal,
    }
    dataset = load_dataset(data, **reading) if data else None
    exported = export_model(
        load(model),
        output,
        form,
        data=dataset,
        accuracy_loss=accuracy_loss,
        overwrite=overwrite,
        progress=terminal,
    )
    terminal.result(_summary(exported), _document(exported))


def _summary(exported: "Exported") -> str:
    from discern.export.usage import proved

    export, parity = exported.export, exported.parity
    return f"{export.form.name}: {export.path}\n{proved(parity)}"


def _document(exported: "Exported") -> dict[str, Any]:
    return {"export": str(exported.export.path), **exported.parity.to_dict()}
