"""A plain FastAPI handler around ONNX Runtime, as people write it. Arguments: MODEL PORT WAY.

WAY is `def`: FastAPI runs the handler in a thread, or `async`: it runs in the event loop, as in
most tutorials. ONNX Runtime keeps its own defaults.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

MODEL, PORT, WAY = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
LABELS = json.loads((MODEL / "model.json").read_text())["labels"]

app = FastAPI()
session = onnxruntime.InferenceSession(MODEL / "model.onnx", providers=["CPUExecutionProvider"])


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


def answer(data: bytes) -> dict[str, object]:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    pixels = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR))
    probabilities = session.run(["probabilities"], {"images": pixels[None]})[0][0]
    scores = {label: float(p) for label, p in zip(LABELS, probabilities, strict=True)}
    return {"label": max(scores, key=lambda label: scores[label]), "scores": scores}


if WAY == "async":

    @app.post("/predict")
    async def predict_in_the_loop(file: UploadFile) -> dict[str, object]:
        return answer(await file.read())

else:

    @app.post("/predict")
    def predict(file: UploadFile) -> dict[str, object]:
        return answer(file.file.read())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", access_log=False)
