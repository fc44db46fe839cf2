"""`discern deploy ci`: pipelines for a repository of pictures."""

from typing import Annotated

import typer

from discern.cli import options
from discern.cli.deploy import target
from discern.cli.terminal import Terminal

PIPELINE = "What the pipeline does"


def ci(
    model: target.Model,
    output: target.Output,
    data: Annotated[
        str,
        typer.Option(help="Where the pictures lie in your repository.", rich_help_panel=PIPELINE),
    ] = "photos",
    budget: Annotated[
        str, typer.Option(help="Time to train, as 10m or 1h.", rich_help_panel=PIPELINE)
    ] = "20m",
    at_least: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="What the lower end of the accuracy's 95 % interval must reach; default: what "
            "this model's reaches.",
            rich_help_panel=PIPELINE,
        ),
    ] = None,
    name: target.Name = None,
    wheel: target.Wheel = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """GitHub Actions and GitLab CI that train on new pictures and refuse what is not good enough.

    Name and settings are those of MODEL.
    """
    from discern.deploy.ci import ci_files

    terminal = Terminal(as_json, quiet)
    subject = target.subject_of(model, name, "", terminal)
    files = ci_files(subject, data, options.duration(budget), at_least, wheel)
    target.finish(terminal, files, output, overwrite)
