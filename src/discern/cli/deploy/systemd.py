"""`discern deploy systemd`: a plain machine."""

from discern.cli import options
from discern.cli.deploy import target
from discern.cli.terminal import Terminal


def systemd(
    model: target.Model,
    output: target.Output,
    name: target.Name = None,
    wheel: target.Wheel = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """A service of systemd on a plain machine, without containers."""
    from discern.deploy.systemd import systemd_files

    terminal = Terminal(as_json, quiet)
    subject = target.subject_of(model, name, "", terminal)
    target.finish(terminal, systemd_files(subject, wheel), output, overwrite)
