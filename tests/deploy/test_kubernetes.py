"""What is rendered for Kubernetes holds together, is valid, and lets nobody in who has no need."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import typer
import yaml
from kubernetes_manifests import (
    Manifest,
    Manifests,
    config_maps_of,
    containers,
    may_reach,
    named,
    of_kind,
    pods,
    pods_of,
    port_names,
    selects,
)

from discern.cli import app
from discern.config import read_settings
from discern.deploy.footprint import Footprint
from discern.deploy.kubernetes import OVERLAYS, SOURCES, kubernetes_files
from discern.deploy.rendering import write
from discern.deploy.subject import Subject
from discern.deploy.tiers import TIERS
from discern.errors import ConfigError
from discern.model import load
from discern.serving.metrics import Metrics
from discern.serving.settings import ServeSettings

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built
VERSIONS = ("1.30", "1.34", "1.37")
CASES = [
    (tier, source, gpu)
    for tier in TIERS
    for source in SOURCES
    for gpu in ((False, True) if TIERS[tier].public_gpu else (False,))
]
SOME = [  # every tier, every source, cards; each overlay of each takes a fifth of a second
    *(("discern", source, False) for source in SOURCES),
    ("triton", "image", True),
    ("ovms", "volume", False),
    ("tf-serving", "object-store", True),
    ("kserve", "object-store", False),
]
WITHOUT_SCHEMA = {"InferenceService", "BackendConfig", "FrontendConfig", "ManagedCertificate"}
GATEWAY = {"app.kubernetes.io/name": "clothes", "app.kubernetes.io/component": "gateway"}

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")


@pytest.fixture
def subject(model_folder: Path) -> Subject:
    taken = Footprint(memory_mib=160, start_seconds=0.5, picture_ms=20.0)
    return Subject("clothes", load(model_folder), "0.1.0-abcdef12", taken, "eu.example.org/team/")


@pytest.fixture
def folder(subject: Subject, tmp_path: Path, case: tuple[str, str, bool]) -> Path:
    """What is written for a tier, a source of models, with cards or without."""
    write(kubernetes_files(subject, *case), tmp_path / "rendered")
    return tmp_path / "rendered"


def read(path: Path) -> list[Manifest]:
    return parsed(path.read_text())


def parsed(text: str) -> list[Manifest]:
    return [manifest for manifest in yaml.load_all(text, Loader=LOADER) if manifest]


def base_of(folder: Path) -> list[Manifest]:
    """What Kustomize reads of the base, and what it would make of its generators."""
    settings = read(folder / "base/kustomization.yaml")[0]
    overlay = read(folder / "overlays/eks/kustomization.yaml")[0]
    generators = [*settings["configMapGenerator"], *overlay.get("configMapGenerator", [])]
    made = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}}
        for generator in generators
    ]
    for generator in settings["configMapGenerator"]:
        for file in generator["files"]:
            assert (folder / "base" / file.rpartition("=")[2]).is_file()
    return [m for name in settings["resources"] for m in read(folder / "base" / name)] + made


def kustomized(overlay: Path) -> list[Manifest]:
    command = ["kubectl", "kustomize", str(overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)


def check_together(manifests: Manifests) -> None:
    """Everything that is named is there, and is what it is taken for."""
    maps = {m["metadata"]["name"] for m in of_kind(manifests, "ConfigMap")}
    accounts = {m["metadata"]["name"] for m in of_kind(manifests, "ServiceAccount")}
    claims = {m["metadata"]["name"] for m in of_kind(manifests, "PersistentVolumeClaim")}
    for labels, spec in pods(manifests):
        assert set(config_maps_of(spec)) <= maps
        assert spec["serviceAccountName"] in accounts
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim")
            assert claim is None or claim["claimName"] in claims
        for spread in spec["topologySpreadConstraints"]:
            assert selects(spread["labelSelector"], labels)
        for container in containers(spec):
            mounts = [mount["name"] for mount in container["volumeMounts"]]
            assert set(mounts) <= set(volumes)
            assert len(mounts) == len(set(mounts))
        for container in spec["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["port"] in port_names(spec)
    for deployment in of_kind(manifests, "Deployment"):
        template = deployment["spec"]["template"]["metadata"]["labels"]
        assert selects(deployment["spec"]["selector"], template)
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    for service in of_kind(manifests, "Service"):
        (spec,) = pods_of(manifests, service["spec"]["selector"])
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in port_names(spec)
    for scaler in of_kind(manifests, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert "replicas" not in named(manifests, target["kind"], target["name"])["spec"]
        assert scaler["spec"]["minReplicas"] >= 2
    budgets = of_kind(manifests, "PodDisruptionBudget")
    assert all(len(pods_of(manifests, budget["spec"]["selector"])) == 1 for budget in budgets)
    assert {budget["spec"]["maxUnavailable"] for budget in budgets} == {1}  # of two: one stays
    assert len(budgets) == 2
    for policy in of_kind(manifests, "NetworkPolicy"):
        assert pods_of(manifests, policy["spec"]["podSelector"])
    for ingress in of_kind(manifests, "Ingress"):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        service = named(manifests, "Service", backend["name"])
        assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


def check_confined(manifests: Manifests) -> None:
    """The restricted pod security standard, a root file system that nobody writes to, limits."""
    namespace = of_kind(manifests, "Namespace")[0]
    enforced = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"
    for _labels, spec in pods(manifests):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(spec):
            confined = container["securityContext"]
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
            assert "requests" in container["resources"]


def check_network(manifests: Manifests, folder: Path) -> None:
    """The gateway reaches what its command names and the world; nothing else is let anywhere."""
    (gateway,) = pods_of(manifests, GATEWAY)
    ((model, _spec),) = [pod for pod in pods(manifests) if pod[0] != GATEWAY]
    upstream = urlsplit(argument(gateway["containers"][0]["command"], "--upstream"))
    service = named(manifests, "Service", str(upstream.hostname))
    assert service["spec"]["clusterIP"] == "None"  # the gateway sees every pod
    ports = {port["port"]: port["targetPort"] for port in service["spec"]["ports"]}
    assert ports[upstream.port] == "grpc"
    (server,) = pods_of(manifests, service["spec"]["selector"])
    assert port_names(server)["grpc"] == upstream.port  # headless: nothing translates ports
    assert upstream.port is not None
    assert may_reach(manifests, GATEWAY, model, upstream.port)
    assert not may_reach(manifests, GATEWAY, model, port_names(server)["http"])
    assert not may_reach(manifests, {"app": "another"}, model, upstream.port)
    assert not may_reach(manifests, model, GATEWAY, 9696)
    assert not may_reach(manifests, "10.1.2.3", {"app": "another"}, 80)  # deny what is not named
    assert may_reach(manifests, GATEWAY, "8.8.8.8", 443)
    assert may_reach(manifests, GATEWAY, "2606:4700::1111", 443)
    for secret in ("169.254.169.254", "169.254.170.23", "10.0.0.1", "172.20.0.1", "192.168.3.4"):
        assert not may_reach(manifests, GATEWAY, secret, 80)
        assert not may_reach(manifests, GATEWAY, secret, 443)
    fetches = (folder / "base/SHA256SUMS").exists()
    assert may_reach(manifests, model, "8.8.8.8", 443) is fetches


def argument(command: list[str], option: str) -> str:
    return next(part.partition("=")[2] for part in command if part.startswith(f"{option}="))


def check_valid(manifests: Manifests, versions: Sequence[str] = VERSIONS) -> None:
    for manifest in manifests:
        text = json.dumps(manifest, sort_keys=True)
        for version in versions:
            if manifest["kind"] not in WITHOUT_SCHEMA and (text, version) not in _SEEN:
                kubernetes_validate.validate(dict(manifest), version, strict=True)
                _SEEN.add((text, version))


_SEEN: set[tuple[str, str]] = set()  # most manifests are the same in many cases


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_base_holds_together_without_kubectl(folder: Path) -> None:
    manifests = base_of(folder)
    check_together(manifests)
    check_confined(manifests)
    check_network(manifests, folder)
    check_valid(manifests)


@needs_kubectl
@pytest.mark.parametrize("case", SOME, ids=str)
def test_every_overlay_holds_together(
    subject: Subject, folder: Path, case: tuple[str, str, bool]
) -> None:
    for overlay in OVERLAYS:
        manifests = kustomized(folder / "overlays" / overlay)
        check_together(manifests)
        check_confined(manifests)
        check_network(manifests, folder)
        check_valid(manifests, VERSIONS[1:2])  # the base went through all
        check_images(manifests, subject, case)
        namespaces = {manifest["metadata"].get("namespace", "clothes") for manifest in manifests}
        assert namespaces == {"clothes"}


def check_images(manifests: Manifests, subject: Subject, case: tuple[str, str, bool]) -> None:
    tier, source, gpu = TIERS[case[0]], *case[1:]
    images = [c["image"] for _labels, spec in pods(manifests) for c in containers(spec)]
    for image in images:
        tag = image.rpartition("/")[2].partition(":")[2]
        assert tag and not re.search("latest|stable", tag)
    own = not tier.is_foreign or source == "image"
    expected = subject.image(tier.kind) if own else tier.public_image(gpu)
    assert {subject.image("gateway"), expected} <= set(images)
    assert len(images) == (3 if source == "object-store" else 2)


@needs_kubectl
@pytest.mark.parametrize("case", [("triton", "image", True)], ids=str)
def test_cards_are_asked_for_where_there_are_any(folder: Path) -> None:
    def card(overlay: str) -> tuple[Any, ...]:
        deployment = named(
            kustomized(folder / "overlays" / overlay), "Deployment", "clothes-model-server"
        )
        spec = deployment["spec"]["template"]["spec"]
        limits = spec["containers"][0]["resources"]["limits"]
        return limits.get("nvidia.com/gpu"), spec.get("tolerations"), spec.get("nodeSelector")

    assert card("kind") == (None, None, None)
    for overlay in ("eks", "gke"):
        cards, tolerations, nodes = card(overlay)
        assert cards == "1"
        assert tolerations[0]["key"] == "nvidia.com/gpu"
        assert nodes


@needs_kubectl
@pytest.mark.parametrize("case", [("discern", "image", False)], ids=str)
def test_components_work_when_they_are_uncommented(folder: Path) -> None:
    overlay = folder / "overlays/eks"
    settings = overlay / "kustomization.yaml"
    text = re.sub(r"^# (components:|  - )", r"\1", settings.read_text(), flags=re.MULTILINE)
    settings.write_text(text.replace("#   - ", "  - "))
    manifests = kustomized(overlay)
    scaler = named(manifests, "HorizontalPodAutoscaler", "clothes-model-server")["spec"]
    metric = scaler["metrics"][1]["pods"]
    assert metric["target"]["averageValue"] == "40m"  # two pictures of 20 ms
    for monitor in of_kind(manifests, "ServiceMonitor"):
        (service,) = [
            service
            for service in of_kind(manifests, "Service")
            if selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        ]
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert monitor["spec"]["endpoints"][0]["port"] in ports
    assert of_kind(manifests, "PrometheusRule")[0]["spec"]["groups"]
    board = named(manifests, "ConfigMap", "clothes-dashboard")
    assert json.loads(board["data"]["clothes.json"])["panels"]
    adapter = read(folder / "components/queue-time/prometheus-adapter-values.yaml")[0]
    (rule,) = adapter["rules"]["custom"]
    assert rule["name"]["as"] == metric["metric"]["name"]
    asked = set(re.findall(r"discern_\w+", rule["seriesQuery"] + rule["metricsQuery"]))
    shown = Metrics().text().decode()
    assert asked
    assert all(re.search(rf"^{name} ", shown, re.MULTILINE) for name in asked)


@pytest.mark.parametrize("case", [(tier, "image", False) for tier in TIERS], ids=str)
def test_servers_take_their_commands_and_settings(folder: Path) -> None:
    manifests = base_of(folder)
    for _labels, spec in pods(manifests):
        command = spec["containers"][0].get("command", [])
        if command[:1] != ["discern"]:
            continue
        parse(command[1:])
        file = f"{command[1]}.toml"
        settings = read_settings(ServeSettings, folder / "base" / file)
        told_to_stop = settings.linger_seconds + settings.drain_seconds
        assert told_to_stop < spec["terminationGracePeriodSeconds"]
        assert settings.limits.seconds <= settings.drain_seconds


def parse(arguments: list[str]) -> None:
    """Let the real command line read it; folders are those of the image."""
    group: Any = typer.main.get_command(app)
    context = group.commands[arguments[0]].make_context(arguments[0], list(arguments[1:]))
    assert context.params["host"] == "0.0.0.0"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A bucket with what was deployed, and an `aws` that knows only how to copy it."""
    client = tmp_path / "bin/aws"
    client.parent.mkdir()
    client.write_text('#!/bin/sh\n[ "$1 $2" = "s3 sync" ] && cp -R "$STORE/." "$5"\n')
    client.chmod(0o755)
    shutil.copytree(tmp_path / "my-model", tmp_path / "store")
    return tmp_path / "store"


def fetched(folder: Path, store: Path, url: str = "s3://bucket/clothes") -> Iterator[Path]:
    place = store.parent / "models/clothes/1"
    path = f"{store.parent / 'bin'}:{os.environ['PATH']}"
    settings = {"PATH": path, "MODEL_URL": url, "MODEL_FOLDER": str(place), "STORE": str(store)}
    script = folder / "base/fetch-model.sh"
    done = subprocess.run(["sh", str(script)], env=settings, capture_output=True, timeout=30)
    if done.returncode == 0:
        yield place


@pytest.mark.parametrize("case", [("discern", "object-store", False)], ids=str)
def test_only_the_model_that_was_deployed_is_served(folder: Path, store: Path) -> None:
    (store / "planted.onnx").write_bytes(b"not named")
    (place,) = fetched(folder, store)
    assert load(place).info.labels == load(folder.parent / "my-model").info.labels
    assert not (place / "planted.onnx").exists()
    assert [path.name for path in place.parent.iterdir()] == ["1"]
    (place,) = fetched(folder, store)  # a pod's init container may run again
    assert not list(fetched(folder, store, "https://example.org/clothes"))
    graph = store / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    assert not list(fetched(folder, store))
    graph.unlink()
    assert not list(fetched(folder, store))


@pytest.mark.parametrize("case", [("ovms", "object-store", False)], ids=str)
def test_an_export_that_was_not_named_is_not_served(folder: Path, store: Path) -> None:
    assert not list(fetched(folder, store))


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not here")
@pytest.mark.parametrize("case", [("discern", s, False) for s in SOURCES[1:]], ids=str)
def test_shell_scripts_are_sound(folder: Path) -> None:
    scripts = sorted(str(path) for path in folder.rglob("*.sh"))
    assert scripts
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("case", [("triton", "image", True)], ids=str)
def test_triton_is_told_the_shapes_of_the_graph(subject: Subject, folder: Path) -> None:
    text = (folder / "config.pbtxt").read_text()
    info = subject.model.info
    assert f"dims: [ {info.preprocess.height}, {info.preprocess.width}, 3 ]" in text
    assert f"dims: [ {len(info.labels)} ]" in text
    assert set(re.findall(r'name: "(\w+)"', text)) == {*info.inputs, *info.outputs}
    assert text.count("{") == text.count("}")


def test_what_cannot_be_rendered_is_said(subject: Subject) -> None:
    with pytest.raises(ConfigError, match="--tier 'seldon' is unknown"):
        kubernetes_files(subject, "seldon")
    with pytest.raises(ConfigError, match="--model-from 'ftp' is unknown"):
        kubernetes_files(subject, model_from="ftp")
    with pytest.raises(ConfigError, match="--tier discern runs on CPUs"):
        kubernetes_files(subject, gpu=True)
