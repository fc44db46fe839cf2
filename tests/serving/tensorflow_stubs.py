"""A client made of TensorFlow's published stubs; run by `test_tensorflow_clients` elsewhere.

Arguments: the HTTP port, the gRPC port, pixels as .npy, pictures. Prints what it got as JSON.
"""

import json
import sys
from pathlib import Path

import grpc
import numpy as np
import requests
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

http, port, pixels, *pictures = sys.argv[1:]
pixels = np.load(pixels)
pictures = [Path(path).read_bytes() for path in pictures]
channel = grpc.insecure_channel("127.0.0.1:" + port)
asking = prediction_service_pb2_grpc.PredictionServiceStub(channel)
models = model_service_pb2_grpc.ModelServiceStub(channel)
found = {}


def predict(tensor, signature="serving_default", model="pets"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs["images"].CopyFrom(tensor)
    return asking.Predict(request, timeout=20.0)


def failure(*arguments, **names):
    try:
        predict(*arguments, **names)
    except grpc.RpcError as error:
        return [error.code().name, error.details()]


answer = predict(tf.make_tensor_proto(pixels, shape=pixels.shape))
found["float_val"] = list(answer.outputs["probabilities"].float_val)
found["pixels"] = tf.make_ndarray(answer.outputs["probabilities"]).tolist()
found["version"] = answer.model_spec.version.value
answer = predict(tf.make_tensor_proto(pictures, shape=[len(pictures)]), "all")
found["pictures"] = tf.make_ndarray(answer.outputs["probabilities"]).tolist()
found["embedding"] = tf.make_ndarray(answer.outputs["embedding"]).shape
grey = [tf.make_tensor_proto(v, tf.uint8, [1, 16, 16, 3]) for v in (7, np.full(768, 7, np.uint8))]
found["grey"] = [list(predict(each).outputs["probabilities"].float_val) for each in grey]
found["float"] = failure(tf.make_tensor_proto(pixels / np.float32(255)))
found["unknown"] = failure(tf.make_tensor_proto(pixels), model="dogs")

request = get_model_metadata_pb2.GetModelMetadataRequest()
request.model_spec.name = "pets"
request.metadata_field.append("signature_def")
answer = asking.GetModelMetadata(request, timeout=20.0)
signatures = get_model_metadata_pb2.SignatureDefMap()
assert answer.metadata["signature_def"].Unpack(signatures)
found["signatures"] = MessageToDict(signatures, preserving_proto_field_name=True)
request = get_model_status_pb2.GetModelStatusRequest()
request.model_spec.name = "pets"
found["status"] = MessageToDict(models.GetModelStatus(request, timeout=20.0))
base = "http://127.0.0.1:" + http + "/v1/models/pets"
answer = requests.post(base + ":predict", json={"instances": pixels.tolist()})
found["rest"] = answer.json()["predictions"]
found["rest metadata"] = requests.get(base + "/metadata").json()["metadata"]["signature_def"]
print(json.dumps(found))
