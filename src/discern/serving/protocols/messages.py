"""The protocols' protobuf messages, from `protos/`.

They live in a pool of their own: a program that also loads a published client, which brings
messages of the same names, would otherwise fail on import. `make protos` compiles them.
"""

from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    compiled = resources.files(__package__).joinpath("protos/compiled.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


@cache
def message(name: str) -> Any:
    """The message class of this full name, `inference.ModelInferRequest` say."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def methods(service: str) -> dict[str, tuple[Any, Any]]:
    """The methods of a service by name: request and response classes."""
    return {
        method.name: (message(method.input_type.full_name), message(method.output_type.full_name))
        for method in _pool().FindServiceByName(service).methods
    }
