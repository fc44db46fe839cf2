"""One process at a time: locks between processes, which end with the process that holds them."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from discern.config import cache_dir
from discern.errors import OutputError
from discern.whole_folder import writing


@contextmanager
def alone(file: Path, *, wait: bool = True) -> Iterator[None]:
    """Let no other process past this point with the same lock `file`, which is made.

    BlockingIOError, without `wait`, where one is past it already. Windows has no such locks.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        try:
            import fcntl
        except ModuleNotFoundError:
            yield
            return
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


@contextmanager
def only_writer(output: Path) -> Iterator[None]:
    """Be the only process of this machine that makes `output`; OutputError where another does."""
    locks = cache_dir() / "locks"  # beside the output they would be litter
    name = hashlib.sha256(str(output.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
    with ExitStack() as held:
        with writing(locks):
            try:
                held.enter_context(alone(locks / name, wait=False))
            except BlockingIOError as exc:
                raise OutputError(
                    f"{output}: another process is making it. Wait for that one, or use another -o."
                ) from exc
        yield
