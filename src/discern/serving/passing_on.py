"""What a server passes on to those behind it: which request it is about, and which trace."""

from collections.abc import Sequence
from contextvars import ContextVar

# gRPC metadata, within the task that answers a request.
PASSED_ON: ContextVar[Sequence[tuple[str, str]]] = ContextVar("passed_on", default=())
