"""A model's facts for hubs: the YAML that a model card begins with.

The keys are those of Hugging Face's "Model card metadata" and of the model-index of Papers with
Code (https://github.com/huggingface/hub-docs/blob/main/modelcard.md).
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from discern.evaluation.metrics import Metrics
from discern.model.info import ModelInfo

FROM_HUB = "hf-hub:"
# Those licences of pretrained weights that hubs know by a name; any other is "other", named beside.
HUB_LICENCES = (
    *("afl-3.0", "agpl-3.0", "apache-2.0", "apple-amlr", "bsd-2-clause", "bsd-3-clause"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"),
    *("cc0-1.0", "gpl-3.0", "mit", "unknown"),
)
# What JSON leaves as it is, but YAML takes for a line's end or no character at all.
UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def front_matter(metrics: Metrics, info: ModelInfo, *, name: str, data: str, split: str) -> str:
    """The block between two lines of dashes, for a model scored on a split of some data."""
    values = {
        "library_name": "discern",
        "pipeline_tag": "image-classification",
        **_origin(info),
        "tags": ["image-classification", "onnx"],
        "metrics": ["accuracy", "f1"],
        "model-index": [{"name": name, "results": [_result(metrics, data, split)]}],
    }
    return "\n".join(["---", *_block(values), "---"])


def _origin(info: ModelInfo) -> dict[str, str]:
    """The weights' licence, and what they are called on the hub, if they come from there."""
    if info.training["mode"] == "scratch":
        return {}
    name, licence = str(info.backbone["name"]), str(info.backbone.get("license", "unknown"))
    known = licence.lower() in HUB_LICENCES
    found = {"license": licence.lower()} if known else {"license": "other", "license_name": licence}
    if name.startswith(FROM_HUB):
        found["base_model"] = name.removeprefix(FROM_HUB)
    return found


def _result(metrics: Metrics, data: str, split: str) -> dict[str, Any]:
    scores = (
        ("accuracy", "Accuracy", metrics.accuracy.value),
        ("f1", "Macro F1", metrics.macro_f1),
        ("log_loss", "Log loss", metrics.log_loss),
        ("expected_calibration_error", "Calibration error", metrics.calibration_error),
    )
    return {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": {"type": re.sub(r"[^\w.-]+", "-", data), "name": data, "split": split},
        "metrics": [{"type": t, "name": n, "value": round(v, 4)} for t, n, v in scores],
    }


def _block(value: Any, indent: str = "") -> Iterator[str]:
    """Lines of block YAML for tables, lists and scalars."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, Mapping | list):
                yield f"{indent}{key}:"
                yield from _block(item, indent + "  ")
            else:
                yield f"{indent}{key}: {_scalar(item)}"
    elif isinstance(value, list):
        for item in value:
            first, *rest = _block(item, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
    else:
        yield indent + _scalar(value)


def _scalar(value: str | float) -> str:
    """A quoted string or a number, as JSON writes it, which is YAML too."""
    text = json.dumps(value, ensure_ascii=False)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
