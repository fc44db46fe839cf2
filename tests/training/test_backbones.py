"""From a name to an exported backbone: the cache, the graph, and what can be wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from timm.data import resolve_data_config

from discern.errors import BackboneError, WeightsError
from discern.training.backbone_export import build_network, new_backbone
from discern.training.backbones import (
    DEFAULT,
    DEFAULT_FROM_SCRATCH,
    SHORT_NAMES,
    Backbone,
    entry_folder,
    load_backbone,
    read_entry,
)


@pytest.fixture
def local_dir(tmp_path: Path) -> Path:
    """A folder in timm's form, with weights of its own."""
    return write_local_dir(tmp_path / "weights", seed=1)


def write_local_dir(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    network = timm.create_model("test_resnet", pretrained=False)
    network.pretrained_cfg = network.pretrained_cfg | {"input_size": (3, 32, 32), "crop_pct": 1.0}
    timm.models.save_for_hf(network, folder, safe_serialization=True)
    return folder


def run(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_a_backbone_in_the_cache_needs_no_torch(backbone: Backbone) -> None:
    found = run(
        "import sys; from discern.training.backbones import load_backbone\n"
        "b = load_backbone('test_resnet', weights='none', image_size=32)\n"
        "print(b.key, 'torch' in sys.modules, 'timm' in sys.modules)"
    )
    assert found.split() == [backbone.key, "False", "False"]


@pytest.mark.parametrize("n", [1, 3])
def test_the_graph_gives_what_the_network_gives(backbone: Backbone, n: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    data = resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg("test_resnet").to_dict())
    mean, std = (torch.tensor(data[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    network = build_network(backbone, pretrained=True).eval()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = network((pixels - mean) / std).numpy()
    session = onnxruntime.InferenceSession(backbone.graph)
    (actual,) = session.run(["embedding"], {"images": images})
    assert actual.shape == (n, backbone.embedding_size)
    assert np.abs(actual - expected).max() <= 1e-4


def test_random_weights_come_from_the_seed(backbone: Backbone) -> None:
    keys = [new_backbone("test_resnet", image_size=32, seed=seed).key for seed in (0, 1, 1)]
    assert keys[0] == backbone.key
    assert keys[0] != keys[1] == keys[2]


def test_a_local_folder(local_dir: Path) -> None:
    backbone = load_backbone(f"local-dir:{local_dir}")
    assert backbone.name == f"local-dir:{local_dir}"
    assert (backbone.preprocess.height, backbone.embedding_size) == (32, 96)
    assert (backbone.folder / "LICENSES").is_file()
    copy = shutil.copytree(local_dir, local_dir.with_name("copy"))
    again = load_backbone(f"local-dir:{copy}")
    assert (again.key, again.name) == (backbone.key, f"local-dir:{copy}")
    write_local_dir(local_dir, seed=2)
    assert load_backbone(f"local-dir:{local_dir}").key != backbone.key


def test_a_folder_whose_name_sounds_like_a_transformer(local_dir: Path) -> None:
    folder = local_dir.rename(local_dir.with_name("vit-and-mixer"))
    backbone = new_backbone(f"local-dir:{folder}", image_size=48, seed=0)
    assert backbone.preprocess.width == 48


def test_a_transformer_is_told_its_picture_size() -> None:
    backbone = new_backbone("test_vit", image_size=32, seed=0)
    assert backbone.arguments["img_size"] == 32
    assert build_network(backbone, pretrained=False).patch_embed.img_size == (32, 32)


def test_damaged_weights_are_not_blamed_on_the_hub(local_dir: Path) -> None:
    (local_dir / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(WeightsError, match=r"cannot be used[\s\S]*model.safetensors") as caught:
        load_backbone(f"local-dir:{local_dir}")
    assert "hub" not in str(caught.value)
    (local_dir / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model.safetensors"):
        load_backbone(f"local-dir:{local_dir}")


def test_a_local_folder_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"has no config\.json.*model\.safetensors"):
        load_backbone(f"local-dir:{tmp_path}")


def test_a_damaged_entry_is_made_again(backbone: Backbone) -> None:
    backbone.graph.unlink()
    assert read_entry(backbone.folder) is None
    again = load_backbone("test_resnet", weights="none", image_size=32)
    assert again == backbone
    assert again.graph.is_file()
    assert {p.name[0] for p in backbone.folder.parent.iterdir()}.isdisjoint(".")


@pytest.mark.parametrize(
    ("name", "hint"), [("resnet5O", "resnet50"), ("convnext_nanoo", "convnext_nano")]
)
def test_an_unknown_name_suggests_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(BackboneError, match=f"{name!r} is not known.*mean {hint}"):
        load_backbone(name)


def test_a_network_without_weights() -> None:
    with pytest.raises(WeightsError, match="--weights none"):
        load_backbone("vit_base_patch32_plus_256")


def test_an_unreachable_hub_names_the_ways_out() -> None:
    found = run(
        "from discern.training.backbones import load_backbone\n"
        "from discern.errors import WeightsError\n"
        "try: load_backbone('resnet18')\n"
        "except WeightsError as exc: print(exc)",
        HF_HUB_OFFLINE="1",
        HF_HOME=os.environ["DISCERN_CACHE"],
    )
    for way_out in ("local-dir:", "--mode scratch", "DISCERN_CACHE", "HF_HOME"):
        assert way_out in found
    assert len(found.splitlines()) <= 3


def test_every_short_name_is_a_network_with_weights() -> None:
    known = set(timm.list_pretrained())
    assert set(SHORT_NAMES.values()) <= known
    assert {DEFAULT, DEFAULT_FROM_SCRATCH} <= SHORT_NAMES.keys()


def test_entries_lie_in_the_cache(backbone: Backbone, cache: Path) -> None:
    assert backbone.folder == entry_folder(backbone.key)
    assert backbone.folder.is_relative_to(cache)
