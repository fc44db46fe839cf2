"""A line in the log and a span in the trace for each gRPC call, as HTTP requests have."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from discern.serving.access_log import AccessLog, request_id
from discern.serving.rate import peer_address
from discern.serving.tracing import Tracer


class Journal(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Stands around every call of a server."""

    def __init__(self, log: AccessLog, tracer: Tracer) -> None:
        self._log, self._tracer = log, tracer

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:  # there is no such method
            return handler
        answer, route = handler.unary_unary, details.method
        metadata = {k: v for k, v in details.invocation_metadata if isinstance(v, str)}

        async def answer_and_note(request: bytes, context: Any) -> Any:
            started, response = time.monotonic(), b""
            with self._tracer.request("POST", route, metadata) as span:
                try:
                    response = await answer(request, context)
                finally:
                    status = _status(context, response)
                    span.finish(status, None if status == "OK" else status, route)
                    seconds = time.monotonic() - started
                    self._note(route, metadata, context, status, seconds, request, response)
            return response

        return grpc.unary_unary_rpc_method_handler(answer_and_note)

    def _note(
        self,
        route: str,
        metadata: dict[str, str],
        context: Any,
        status: str,
        seconds: float,
        request: bytes,
        response: bytes,
    ) -> None:
        given = metadata.get("x-request-id", "").encode()
        self._log.line(
            {
                "request_id": request_id({b"x-request-id": given}),
                "method": "gRPC",
                "path": route,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "bytes_in": len(request),
                "bytes_out": len(response),
                "client": peer_address(context.peer()) or None,
            }
        )


def _status(context: Any, response: bytes) -> str:
    """gRPC's name of how the call ended; one without a code was cancelled, or is fine."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return str(code.name)
    return "OK" if response or code == 0 else "CANCELLED"
