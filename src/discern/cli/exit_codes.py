"""What each error means to a shell: 0 done, 1 the work failed, 2 the call or the input is wrong."""

from discern.errors import (
    BackboneError,
    ConfigError,
    DatasetError,
    DiscernError,
    EngineError,
    ExportError,
    ModelError,
    OutputError,
    PictureError,
    ServingError,
    TrainingError,
    WeightsError,
)

WORK_FAILED, WRONG_INPUT = 1, 2

EXIT_CODES: dict[type[DiscernError], int] = {
    BackboneError: WRONG_INPUT,
    ConfigError: WRONG_INPUT,
    DatasetError: WRONG_INPUT,
    EngineError: WRONG_INPUT,
    ExportError: WORK_FAILED,
    ModelError: WRONG_INPUT,
    OutputError: WRONG_INPUT,
    PictureError: WRONG_INPUT,
    ServingError: WRONG_INPUT,
    TrainingError: WORK_FAILED,
    WeightsError: WORK_FAILED,
}

# Packages that only some commands need, and the extra that brings each.
EXTRAS = (
    dict.fromkeys(
        (
            *("joblib", "onnx", "onnxscript", "optuna", "safetensors", "sklearn"),
            "threadpoolctl",
            *("timm", "torch", "torchvision"),
        ),
        "train",
    )
    | dict.fromkeys(
        (
            *("fastapi", "fastapi_offline", "google", "grpc", "h11", "httptools"),
            *("prometheus_client", "python_multipart", "starlette", "uvicorn"),
        ),
        "serve",
    )
    | {"jinja2": "deploy"}
)


def exit_code(error: DiscernError) -> int:
    """The code of the error's own kind, or of the nearest kind above it."""
    return next(
        (EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), WORK_FAILED
    )
