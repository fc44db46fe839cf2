"""`discern api-key`: a key for a client of the servers."""

from typing import Annotated

import typer

from discern.cli import options
from discern.cli.terminal import Terminal
from discern.errors import ConfigError


def api_key(
    name: Annotated[str, typer.Argument(help="Whose key it is, as logs will say.")],
    as_json: options.Json = False,
) -> None:
    """Make an API key. The key is shown once; the servers keep its hash only."""
    from discern.serving.access import hashed, is_name, new_key

    if not is_name(name):
        raise ConfigError(f"{name!r} is no name for a key; use letters, digits, - _ and dots.")
    key = new_key()
    line = f"{name}:{hashed(key)}"
    Terminal(as_json).result(
        f"Key, for the client (X-API-Key):  {key}\nLine, for the file given to --keys:  {line}",
        {"name": name, "key": key, "line": line},
    )
