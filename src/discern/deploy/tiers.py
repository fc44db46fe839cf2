"""The servers that can do the inference behind discern's gateway, in the versions taken."""

from dataclasses import dataclass

from discern.errors import ConfigError


@dataclass(frozen=True)
class Tier:
    """A server of the model tier, as its own documentation describes it."""

    name: str  # as on the command line
    server: str  # whose container it is: the file in templates/kubernetes/parts
    title: str
    kind: str  # of its image, for `Subject.image`
    grpc_port: int
    http_port: int
    metrics: tuple[str, str]  # the port's name, the path
    scheme: str = "grpc"  # of the gateway's upstream
    form: str = ""  # what the model is exported to; discern's own server takes it as it is
    public: str = ""  # the image that the model is put into
    public_gpu: str = ""  # the same with CUDA, where there is one
    queue: str = ""  # PromQL's counter of seconds waited, and behind it, of waits
    extra_mib: int = 128  # memory beyond the model's own

    @property
    def is_foreign(self) -> bool:
        """Whether labels and preprocessing must be told to the gateway, from the model folder."""
        return bool(self.form)

    @property
    def is_kserve(self) -> bool:
        """Whether KServe makes the Deployment and scales it."""
        return self.name == "kserve"

    def public_image(self, gpu: bool) -> str:
        """The image it starts from; ConfigError where there is none for GPUs."""
        if gpu and not self.public_gpu:
            raise ConfigError(
                f"--tier {self.name} runs on CPUs: its image has no CUDA. "
                "For --gpu take --tier triton or --tier tf-serving."
            )
        return self.public_gpu if gpu else self.public


_QUEUE = "discern_queue_seconds_sum discern_queue_seconds_count"
_TRITON = "nvcr.io/nvidia/tritonserver:25.06-py3"  # one image for CPUs and GPUs
_TF_SERVING = "tensorflow/serving:2.19.0"

TIERS = {
    tier.name: tier
    for tier in (
        Tier(
            *("discern", "discern", "discern's own model server", "model-server"),
            grpc_port=8500,
            http_port=8501,
            metrics=("http", "/metrics"),
            queue=_QUEUE,
        ),
        Tier(
            *("triton", "triton", "Triton Inference Server", "triton"),
            grpc_port=8001,
            http_port=8000,
            metrics=("metrics", "/metrics"),
            form="onnx",
            public=_TRITON,
            public_gpu=_TRITON,
            queue="nv_inference_queue_duration_us nv_inference_request_success",
            extra_mib=1536,
        ),
        Tier(
            *("ovms", "ovms", "OpenVINO Model Server", "ovms"),
            grpc_port=8001,
            http_port=8000,
            metrics=("http", "/metrics"),
            form="openvino",
            public="openvino/model_server:2025.2",
            extra_mib=1024,
        ),
        Tier(
            *("tf-serving", "tf-serving", "TensorFlow Serving", "tf-serving"),
            grpc_port=8500,
            http_port=8501,
            metrics=("http", "/monitoring/prometheus/metrics"),
            scheme="tf-serving",
            form="saved-model",
            public=_TF_SERVING,
            public_gpu=f"{_TF_SERVING}-gpu",
            extra_mib=1024,
        ),
        Tier(
            *("kserve", "discern", "discern's own model server, run by KServe", "model-server"),
            grpc_port=8500,
            http_port=8501,
            metrics=("http", "/metrics"),
        ),
    )
}
