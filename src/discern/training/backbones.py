"""Backbones: names to uint8-in ONNX graphs, exported once and cached under the weights' hash.

This file needs no torch: a backbone seen before is found in the cache by name. Making a new
entry is `backbone_export`'s, which is imported only then.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from discern import __version__
from discern.config import Weights, cache_dir
from discern.errors import BackboneError, DiscernError
from discern.images import PreprocessSpec
from discern.images.digest import stamp
from discern.whole_folder import write_atomically

# Times for one 224-pixel picture (or the backbone's own size) are in docs/backbones.md.
SHORT_NAMES = {
    "mobilenetv2": "mobilenetv2_100.ra_in1k",
    "mobilenetv3": "mobilenetv3_large_100.ra_in1k",
    "mobilenetv4": "mobilenetv4_conv_medium.e500_r256_in1k",
    "efficientnet_b0": "efficientnet_b0.ra_in1k",
    "efficientnet_b7": "tf_efficientnet_b7.ra_in1k",
    "efficientnetv2": "tf_efficientnetv2_s.in21k_ft_in1k",
    "resnet18": "resnet18.a1_in1k",
    "resnet50": "resnet50.a1_in1k",
    "densenet121": "densenet121.ra_in1k",
    "xception": "legacy_xception.tf_in1k",
    "convnext_nano": "convnext_nano.in12k_ft_in1k",
    "convnext_tiny": "convnext_tiny.in12k_ft_in1k",
    "dinov2": "vit_small_patch14_dinov2.lvd142m",
}
DEFAULT = "convnext_nano"
DEFAULT_FROM_SCRATCH = "resnet18"


@dataclass(frozen=True)
class Backbone:
    """An exported backbone in the cache."""

    name: str  # as timm names it
    architecture: str
    arguments: dict[str, Any]  # with which timm builds the architecture
    key: str  # hash of weights, architecture, normalisation and picture size
    folder: Path
    embedding_size: int
    preprocess: PreprocessSpec
    mean: tuple[float, ...]
    std: tuple[float, ...]
    license: str

    @property
    def graph(self) -> Path:
        return self.folder / "backbone.onnx"

    @property
    def weights(self) -> Path:
        return self.folder / "weights.safetensors"

    def facts(self) -> dict[str, Any]:
        """What a model folder says of its backbone."""
        kept = (
            "name",
            "architecture",
            "arguments",
            "key",
            "embedding_size",
            "mean",
            "std",
            "license",
        )
        return {name: value for name, value in asdict(self).items() if name in kept}


def load_backbone(
    name: str, *, weights: Weights = "pretrained", image_size: int | None = None, seed: int = 0
) -> Backbone:
    """The backbone of this name from the cache, or exported into it (that needs torch).

    `name` is a short name, any timm name, `hf-hub:owner/model` or `local-dir:path`. Raises
    BackboneError for an unknown one and WeightsError where weights cannot be had.
    """
    name = _full_name(name)
    record = _record(name, weights, image_size, seed)
    found = _read_record(record)
    if found is not None:
        return replace(found, name=name)
    try:
        from discern.training.backbone_export import export_backbone
    except ModuleNotFoundError as exc:
        raise BackboneError(
            f"Training needs {exc.name}. Install it with: pip install 'discern[train]'"
        ) from exc
    backbone = export_backbone(name, weights=weights, image_size=image_size, seed=seed)
    write_atomically(record, backbone.key.encode())
    return backbone


def cached_backbone(name: str) -> Backbone | None:
    """The pretrained backbone of this name if the cache has it; no network is asked for it."""
    name = _full_name(name)
    found = _read_record(_record(name, "pretrained", None, 0))
    return None if found is None else replace(found, name=name)


def entry_folder(key: str) -> Path:
    """Where the cache keeps the backbone of this key."""
    return cache_dir() / "backbones" / key


def write_entry(backbone: Backbone) -> None:
    """Write the description that makes a cache entry complete; its other files come first."""
    values = asdict(backbone) | {"preprocess": backbone.preprocess.to_dict()}
    del values["folder"]
    write_atomically(backbone.folder / "backbone.json", json.dumps(values, indent=1).encode())


def read_entry(folder: Path) -> Backbone | None:
    """The backbone kept in a cache folder; None where there is no complete one."""
    try:
        values = json.loads((folder / "backbone.json").read_text(encoding="utf-8"))
        values["preprocess"] = PreprocessSpec.from_dict(values["preprocess"])
        values["mean"], values["std"] = tuple(values["mean"]), tuple(values["std"])
        backbone = Backbone(folder=folder, **values)
        return backbone if backbone.graph.is_file() and backbone.weights.is_file() else None
    except (OSError, ValueError, TypeError, KeyError, DiscernError):
        return None


def _full_name(name: str) -> str:
    """The name with short forms spelled out and a local folder made absolute."""
    name = SHORT_NAMES.get(name, name)
    return f"local-dir:{_local_dir(name)}" if name.startswith("local-dir:") else name


def _local_dir(name: str) -> Path:
    folder = Path(name.removeprefix("local-dir:")).expanduser().absolute()
    if not (folder / "config.json").is_file():
        raise BackboneError(
            f"{folder} has no config.json. local-dir: wants a folder in timm's form, "
            "config.json beside model.safetensors."
        )
    return folder


def _record(name: str, weights: Weights, image_size: int | None, seed: int) -> Path:
    """The file that says which cache entry a request led to; a changed folder is a new request."""
    facts: list[object] = [__version__, name, weights, image_size]
    if weights == "none":
        facts.append(seed)
    if name.startswith("local-dir:"):
        folder = Path(name.removeprefix("local-dir:"))
        facts += [(path.name, stamp(path)) for path in sorted(folder.iterdir())]
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
    return cache_dir() / "backbones" / f"{key}.name"


def _read_record(record: Path) -> Backbone | None:
    try:
        key = record.read_text(encoding="utf-8")
    except OSError:
        return None
    return read_entry(entry_folder(key))
