"""What each error means to a client: one table for HTTP and gRPC."""

from http import HTTPStatus
from typing import NamedTuple

from discern.errors import (
    DeadlineError,
    DiscernError,
    EngineError,
    FetchError,
    FetchRefusedError,
    MediaTypeError,
    ModelError,
    OverloadedError,
    PictureError,
    PictureLimitError,
    RateLimitedError,
    RequestError,
    RequestLimitError,
    RequestTimeoutError,
    UnauthorisedError,
    UnknownModelError,
    UpstreamError,
)


class Status(NamedTuple):
    """A kind of error, its HTTP status, and the name of its gRPC status code."""

    kind: str
    http: HTTPStatus
    grpc: str


INTERNAL = Status("internal", HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL")

STATUSES: dict[type[DiscernError], Status] = {
    PictureError: Status("picture", HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID_ARGUMENT"),
    PictureLimitError: Status("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "INVALID_ARGUMENT"),
    FetchError: Status("fetch", HTTPStatus.UNPROCESSABLE_ENTITY, "INVALID_ARGUMENT"),
    FetchRefusedError: Status("fetch-refused", HTTPStatus.FORBIDDEN, "PERMISSION_DENIED"),
    RequestError: Status("request", HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT"),
    RequestLimitError: Status("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "INVALID_ARGUMENT"),
    RequestTimeoutError: Status("slow-body", HTTPStatus.REQUEST_TIMEOUT, "DEADLINE_EXCEEDED"),
    MediaTypeError: Status("media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "INVALID_ARGUMENT"),
    UnauthorisedError: Status("unauthorised", HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED"),
    RateLimitedError: Status("rate", HTTPStatus.TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
    UnknownModelError: Status("unknown-model", HTTPStatus.NOT_FOUND, "NOT_FOUND"),
    OverloadedError: Status("overloaded", HTTPStatus.SERVICE_UNAVAILABLE, "RESOURCE_EXHAUSTED"),
    DeadlineError: Status("deadline", HTTPStatus.GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
    UpstreamError: Status("upstream", HTTPStatus.BAD_GATEWAY, "UNAVAILABLE"),
    EngineError: Status("engine", HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL"),
    ModelError: Status("model", HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL"),
}


def status_of(error: BaseException) -> Status:
    """The status of the error's own kind, or of the nearest kind above it."""
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return INTERNAL
