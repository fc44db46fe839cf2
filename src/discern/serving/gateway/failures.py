"""What a model server's failures mean to the gateway's clients, and to its log."""

import contextlib

import grpc

from discern.errors import DiscernError, OverloadedError, UnknownModelError, UpstreamError
from discern.serving.line import RETRY_SECONDS

LONGEST = 300  # characters of a server's own words

UNREACHABLE = "The model server cannot be reached. Try again in a moment."
SILENT = "The model server did not answer in time."


def reason(exc: grpc.aio.AioRpcError) -> str:
    """A failure in one line, for the log."""
    return f"{exc.code().name}: {_clipped(exc.details())}"


def translated(exc: grpc.aio.AioRpcError) -> DiscernError:
    """The error for clients; the network behind the gateway is none of their business."""
    code, details = exc.code(), _clipped(exc.details())
    if code is grpc.StatusCode.UNAVAILABLE:
        return UpstreamError(UNREACHABLE)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UpstreamError(SILENT)
    if code is grpc.StatusCode.NOT_FOUND:
        return UnknownModelError(details or "The model server does not know the model.")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" not in details:
        return OverloadedError("The model server is busy. Try again in a moment.", _advice(exc))
    return UpstreamError(f"The model server failed ({code.name}: {details}).")


def _advice(exc: grpc.aio.AioRpcError) -> float:
    """The seconds after which a busy server wants to be asked again."""
    for key, value in exc.trailing_metadata() or ():
        if key == "retry-after":
            with contextlib.suppress(ValueError):
                return min(max(float(value), 0.0), 3600.0)
    return RETRY_SECONDS


def _clipped(text: str | None) -> str:
    line = " ".join((text or "").split()).rstrip(".")
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
