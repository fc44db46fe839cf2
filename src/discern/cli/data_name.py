"""What the data are called in what a command prints and writes: never a place in the cache."""

from pathlib import Path


def as_typed(data: str) -> str:
    """The path or URL as it was typed, without a URL's secrets."""
    from discern.data.remote import is_remote, printable

    return printable(data) if is_remote(data) else data


def last_part(data: str) -> str:
    """The last part of a path or URL, which a report may show."""
    from discern.data.remote import is_remote

    return Path(as_typed(data)).name if is_remote(data) else Path(data).resolve().name
