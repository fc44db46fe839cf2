"""The Open Inference Protocol over gRPC."""

import json
from collections.abc import Callable
from typing import Any

import grpc

from discern import __version__
from discern.errors import OverloadedError, RequestError, UnknownModelError
from discern.serving.catalog import Catalog, Servable
from discern.serving.metrics import Metrics
from discern.serving.protocols import open_inference as oip
from discern.serving.protocols import tensors
from discern.serving.protocols.encoded_pictures import Question
from discern.serving.protocols.grpc_server import Admit, Call, admit_all, service
from discern.serving.protocols.messages import message
from discern.serving.settings import ServeSettings

SERVICE = "inference.GRPCInferenceService"


def grpc_service(
    catalog: Catalog,
    ready: Callable[[], bool],
    settings: ServeSettings,
    metrics: Metrics,
    admit: Admit = admit_all,
) -> grpc.GenericRpcHandler:
    """The service, answering from `catalog`."""

    async def server_live(_request: Any, _call: Call) -> Any:
        return message("inference.ServerLiveResponse")(live=True)

    async def server_ready(_request: Any, _call: Call) -> Any:
        return message("inference.ServerReadyResponse")(ready=ready())

    async def model_ready(request: Any, _call: Call) -> Any:
        return message("inference.ModelReadyResponse")(ready=_is_ready(catalog, request))

    async def server_metadata(_request: Any, _call: Call) -> Any:
        return message("inference.ServerMetadataResponse")(
            name=oip.SERVER, version=__version__, extensions=oip.EXTENSIONS
        )

    async def model_metadata(request: Any, _call: Call) -> Any:
        return _metadata(_find(catalog, request.name, request.version), catalog)

    async def model_infer(request: Any, call: Call) -> Any:
        servable = _find(catalog, request.model_name, request.model_version)
        question = _question(request, servable, settings.limits.pictures)
        wanted = oip.check_outputs(servable.info, [output.name for output in request.outputs])
        outputs = await oip.answer(servable, question, wanted, call.deadline, settings)
        return _response(request, servable, outputs)

    handlers = {
        "ServerLive": server_live,
        "ServerReady": server_ready,
        "ModelReady": model_ready,
        "ServerMetadata": server_metadata,
        "ModelMetadata": model_metadata,
        "ModelInfer": model_infer,
    }
    return service(SERVICE, handlers, settings, metrics, admit)


def _find(catalog: Catalog, name: str, version: str) -> Servable:
    return catalog.find(name or None, version or None)


def _is_ready(catalog: Catalog, request: Any) -> bool:
    try:
        _find(catalog, request.name, request.version)
    except (UnknownModelError, OverloadedError):
        return False
    return True


def _metadata(servable: Servable, catalog: Catalog) -> Any:
    info = servable.info
    return message("inference.ModelMetadataResponse")(
        name=servable.name,
        versions=oip.versions(catalog, servable.name),
        platform=oip.PLATFORM,
        inputs=[tensor._asdict() for tensor in oip.model_inputs(servable)],
        outputs=[tensor._asdict() for tensor in oip.model_outputs(info)],
        properties={"labels": json.dumps(info.labels)},
    )


def _question(request: Any, servable: Servable, at_most: int) -> Question:
    """What a request asks about, from its raw contents or the typed ones."""
    oip.check_inputs(servable, [tensor.name for tensor in request.inputs])
    sent, raws = request.inputs, request.raw_input_contents
    if raws and (len(raws) != len(sent) or any(tensor.HasField("contents") for tensor in sent)):
        raise RequestError(
            f"{len(sent)} inputs have their data in {len(raws)} raw_input_contents and in their "
            "contents; send one of the two, for each input once."
        )
    given = {}
    for index, tensor in enumerate(sent):
        offer = oip.Offer(tensor.name, tensor.datatype, tensor.shape)
        shape = oip.check_offer(offer, servable, at_most)
        given[tensor.name] = (
            oip.from_raw(offer, shape, raws[index]) if raws else _typed(tensor, shape)
        )
    return oip.question(servable, given)


def _typed(tensor: Any, shape: tuple[int, ...]) -> oip.Value:
    name, contents = tensor.name, tensor.contents
    if tensor.datatype == oip.PIXELS:
        return tensors.pixels_from_values(name, contents.uint_contents, shape)
    if tensor.datatype == oip.FLOATS:
        return tensors.floats_from_values(name, contents.fp32_contents, shape)
    return tensors.strings_from_values(name, contents.bytes_contents, shape[0])


def _response(request: Any, servable: Servable, outputs: list[oip.Tensor]) -> Any:
    """Raw contents for those who sent raw ones, typed for the others, as Triton and KServe do."""
    raw = bool(request.raw_input_contents)
    response = message("inference.ModelInferResponse")(
        model_name=servable.name, model_version=servable.version, id=request.id
    )
    for output in outputs:
        sent = response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if raw:
            response.raw_output_contents.append(tensors.to_bytes(output.values))
        elif isinstance(output.values, list):
            sent.contents.bytes_contents.extend(output.values)
        else:
            sent.contents.fp32_contents.extend(output.values.ravel().tolist())
    return response
