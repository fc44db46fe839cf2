"""LitServe around ONNX Runtime. Arguments: MODEL PORT [WORKERS API_SERVERS BATCH QUEUE].

WORKERS inference processes share the cores' threads among them; API_SERVERS processes take the
requests; BATCH pictures go through the graph at a time; QUEUE is `zmq` or `pipe`.
"""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import onnxruntime
from fastapi import UploadFile
from PIL import Image

MODEL, PORT = Path(sys.argv[1]), int(sys.argv[2])
WORKERS, API_SERVERS, BATCH, QUEUE = (*sys.argv[3:], "2", "1", "1", "zmq")[:4]


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        del device
        self.labels = json.loads((MODEL / "model.json").read_text())["labels"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, (os.cpu_count() or 1) // int(WORKERS))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            MODEL / "model.onnx", options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: UploadFile) -> Any:
        image = Image.open(io.BytesIO(request.file.read())).convert("RGB")
        return np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR))

    def predict(self, pixels: Any) -> Any:
        if int(BATCH) == 1:
            pixels = pixels[None]
        probabilities = self.session.run(["probabilities"], {"images": pixels})[0]
        return probabilities[0] if int(BATCH) == 1 else probabilities

    def encode_response(self, probabilities: Any) -> dict[str, object]:
        scores = {label: float(p) for label, p in zip(self.labels, probabilities, strict=True)}
        return {"label": max(scores, key=lambda label: scores[label]), "scores": scores}


if __name__ == "__main__":
    api = Classifier(max_batch_size=int(BATCH), batch_timeout=0.005 if int(BATCH) > 1 else 0.0)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=int(WORKERS), fast_queue=QUEUE == "zmq"
    )
    server.run(
        host="127.0.0.1",
        port=PORT,
        num_api_servers=int(API_SERVERS),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
