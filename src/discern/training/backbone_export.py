"""From a timm name to a cache entry: the network, its ONNX graph, its weights, its licence."""

import contextlib
import difflib
import hashlib
import io
import logging
import shutil
import socket
import tempfile
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import onnx
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from timm.data import resolve_data_config

from discern.config import Weights
from discern.errors import BackboneError, WeightsError
from discern.images import PreprocessSpec
from discern.training.backbones import SHORT_NAMES, Backbone, entry_folder, read_entry, write_entry
from discern.whole_folder import writing

Network = Any  # a timm model: a torch module with timm's own methods and attributes

OPSET = 20
LICENSE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt")


class PixelsToEmbedding(torch.nn.Module):
    """uint8 [N, H, W, 3] → embedding [N, D]: cast, normalise, then the backbone."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self, backbone: torch.nn.Module, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        scale = 1 / (255 * torch.tensor(std))
        self.register_buffer("scale", scale.view(1, 3, 1, 1))
        self.register_buffer("shift", -(torch.tensor(mean) / torch.tensor(std)).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).float()
        return self.backbone(pixels * self.scale + self.shift)  # type: ignore[no-any-return]


def export_backbone(name: str, *, weights: Weights, image_size: int | None, seed: int) -> Backbone:
    """Build the network and export it into the cache; quick if the same weights are there."""
    network = _create(name, weights, image_size, seed)
    backbone = _describe(network, name, image_size)
    if known := read_entry(backbone.folder):
        return replace(known, name=name)
    _write(network, backbone)
    return backbone


def new_backbone(name: str, *, image_size: int | None, seed: int) -> Backbone:
    """A backbone to train from scratch: described, with nothing in the cache."""
    return _describe(_create(name, "none", image_size, seed), name, image_size)


def _describe(network: Network, name: str, image_size: int | None) -> Backbone:
    network.eval()
    config: Mapping[str, Any] = network.pretrained_cfg
    data = resolve_data_config({}, pretrained_cfg=dict(config))
    spec = PreprocessSpec.from_timm(data, image_size)
    with torch.inference_mode():
        embedding = network(torch.zeros(1, 3, spec.height, spec.width))
    key = _key(network, spec, data)
    return Backbone(
        name=name,
        architecture=config["architecture"],
        arguments=_arguments(network),
        key=key,
        folder=entry_folder(key),
        embedding_size=int(embedding.shape[1]),
        preprocess=spec,
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        license=str(config.get("license") or "unknown"),
    )


def build_network(backbone: Backbone, *, pretrained: bool) -> Network:
    """The backbone as a torch module without classifier, with its cached weights or fresh ones."""
    network: Network = timm.create_model(backbone.architecture, **backbone.arguments)
    if pretrained:
        network.load_state_dict(load_file(backbone.weights))
    return network


def write_graph(network: Network, backbone: Backbone, path: Path) -> None:
    """Export a backbone's network, uint8 [N, H, W, 3] → embedding [N, D], batch free."""
    module = PixelsToEmbedding(network, backbone.mean, backbone.std).eval().cpu()
    shape = (2, backbone.preprocess.height, backbone.preprocess.width, 3)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with _quietly(), torch.inference_mode():
        program = torch.onnx.export(
            module,
            (torch.zeros(shape, dtype=torch.uint8),),
            input_names=["images"],
            output_names=["embedding"],
            dynamic_shapes={"images": {0: batch}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _create(name: str, weights: Weights, image_size: int | None, seed: int) -> Network:
    pretrained = weights == "pretrained"
    # Transformers are built for one picture size and must be told; other networks refuse to be.
    sizes: list[dict[str, int]] = [{"img_size": image_size}, {}] if image_size else [{}]
    for size in sizes:
        torch.manual_seed(seed)  # for random weights; pretrained ones are loaded over them
        try:
            with _quietly(), _without_waiting():
                return timm.create_model(name, pretrained=pretrained, num_classes=0, **size)
        except Exception as exc:  # timm and the hub raise many kinds, from KeyError to OSError
            if size and isinstance(exc, TypeError) and "img_size" in str(exc):
                continue
            raise _translated(name, exc) from exc
    raise AssertionError("the last of the sizes returns or raises")


@contextlib.contextmanager
def _without_waiting() -> Iterator[None]:
    """Take the hub as offline where its name does not resolve: its client would retry for a minute.

    What is in the hub's own cache is found all the same. Behind a proxy, which resolves names
    itself, the hub is asked as usual.
    """
    if urllib.request.getproxies() or _resolves(urlsplit(constants.ENDPOINT).hostname or ""):
        yield
        return
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def _translated(name: str, exc: Exception) -> BackboneError:
    text = str(exc)
    if "Unknown model" in text or "Invalid pretrained tag" in text:
        near = difflib.get_close_matches(name, [*SHORT_NAMES, *timm.list_models()], n=1)
        hint = f"Did you mean {near[0]}?" if near else "timm.list_models() names them all."
        return BackboneError(f"Backbone {name!r} is not known to timm. {hint}")
    if "No pretrained weights" in text:
        return WeightsError(
            f"timm has no weights for {name!r}. Use --weights none for random ones."
        )
    if "state_dict" in text:
        return WeightsError(f"The weights of {name!r} do not fit it: {text.splitlines()[0]}")
    reason = text.strip().splitlines()[0][:120] if text.strip() else type(exc).__name__
    if name.startswith("local-dir:"):
        return WeightsError(
            f"{name.removeprefix('local-dir:')} cannot be used ({reason}).\n"
            "It must hold timm's config.json and model.safetensors. Copy it again, or use "
            "--weights none."
        )
    return WeightsError(
        f"The weights of {name!r} cannot be had from the model hub ({reason}).\n"
        "Use --backbone local-dir:FOLDER (config.json + model.safetensors), or --mode scratch, "
        "which needs none;\nor fill the hub's cache (HF_HOME) or discern's (DISCERN_CACHE) "
        "on a machine that reaches it."
    )


def _arguments(network: Network) -> dict[str, Any]:
    """What timm was called with, so that the same network can be built again without the hub."""
    found = dict(getattr(network, "_model_args", {}))
    return {key: value for key, value in found.items() if not key.startswith("pretrained")}


def _key(network: Network, spec: PreprocessSpec, data: Mapping[str, Any]) -> str:
    """Hash of everything that the embedding of given pixels depends on."""
    facts = (network.pretrained_cfg["architecture"], _arguments(network), spec.to_dict())
    found = hashlib.sha256(repr((facts, data["mean"], data["std"], OPSET)).encode())
    for name, tensor in sorted(network.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:24]


def _write(network: Network, backbone: Backbone) -> None:
    """Write the entry's files to a sibling, then rename it: other processes may read the entry."""
    with writing(backbone.folder):
        backbone.folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".", suffix=".tmp", dir=backbone.folder.parent))
        staged = replace(backbone, folder=stage)
        try:
            write_graph(network, backbone, staged.graph)
            save_file({k: v.contiguous() for k, v in network.state_dict().items()}, staged.weights)
            licenses = _licenses(backbone, network.pretrained_cfg)
            (stage / "LICENSES").write_text(licenses, encoding="utf-8")
            write_entry(staged)
            _move(stage, backbone.folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)


def _move(stage: Path, folder: Path) -> None:
    """Rename a complete entry into place, unless another process has just done so."""
    if read_entry(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)  # what is left of a damaged one
    try:
        stage.rename(folder)
    except OSError:
        if read_entry(folder) is None:
            raise


def _licenses(backbone: Backbone, config: Mapping[str, Any]) -> str:
    """What is known of the licence of the weights."""
    text = f"Weights: {backbone.name}\nLicence: {backbone.license}\n"
    if origin := config.get("origin_url"):
        text += f"Origin: {origin}\n"
    if backbone.name.startswith("local-dir:"):
        folder = Path(backbone.name.removeprefix("local-dir:"))
        for path in (folder / name for name in LICENSE_FILES):
            if path.is_file():
                text += f"\n{path.name}:\n{path.read_text(encoding='utf-8', errors='replace')}"
    return text


def _strip(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes on where in whose source each node came from."""
    for item in (
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
        *model.graph.initializer,
    ):
        del item.metadata_props[:]
        item.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's and timm's chatter off the terminal; errors still come through."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
