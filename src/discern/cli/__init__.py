"""The command line. Commands import what they need when they run, so that --help is quick."""

import io
import os
import sys

import typer

from discern import __version__
from discern.cli import (
    api_key,
    compare,
    demo,
    deploy,
    evaluate,
    explain,
    export,
    gateway,
    inspect,
    model_server,
    predict,
    serve,
    train,
    tune,
    verify,
)
from discern.cli.exit_codes import EXTRAS, WRONG_INPUT, exit_code
from discern.errors import DiscernError

app = typer.Typer(
    help="From a folder of labelled pictures to an image classifier in production.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Any command takes --debug, which shows the traceback of an error.",
)
app.command("demo")(demo.demo)
app.command("inspect")(inspect.inspect)
app.command("train")(train.train)
app.command("compare")(compare.compare)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("explain")(explain.explain)
app.command("verify")(verify.verify)
app.command("export", cls=export.WithForms)(export.export)
app.command("serve")(serve.serve)
app.command("model-server")(model_server.model_server)
app.command("gateway")(gateway.gateway)
app.command("api-key")(api_key.api_key)
app.add_typer(deploy.app, name="deploy")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"discern {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and stop."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line: user mistakes end in a message, bugs in a traceback."""
    # OpenMP's threads would wait by spinning, and starve decoding and whatever else is running.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):  # file names are bytes, and may be no UTF-8
            stream.reconfigure(errors=errors)
    try:
        app([argument for argument in arguments if argument != "--debug"])
    except DiscernError as exc:
        if debug:
            raise
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        sys.exit(exit_code(exc))
    except ModuleNotFoundError as exc:
        if debug or exc.name not in EXTRAS:
            raise
        extra = EXTRAS[exc.name]
        print(
            f"This needs {exc.name}. Install it with: pip install 'discern[{extra}]'",
            file=sys.stderr,
        )
        sys.exit(WRONG_INPUT)
    except BrokenPipeError:  # the reader of our output had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
