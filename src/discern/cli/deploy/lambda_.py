"""`discern deploy lambda`: a function behind an HTTP API."""

from discern.cli import options
from discern.cli.deploy import target
from discern.cli.terminal import Terminal


def lambda_(
    model: target.Model,
    output: target.Output,
    name: target.Name = None,
    registry: target.Registry = "",
    wheel: target.Wheel = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """AWS Lambda: a container image and a SAM template, with an HTTP API before it."""
    from discern.deploy.lambda_ import lambda_files

    terminal = Terminal(as_json, quiet)
    subject = target.subject_of(model, name, registry, terminal)
    target.finish(terminal, lambda_files(subject, wheel), output, overwrite)
