"""What Kubernetes makes of manifests, as far as tests need it: who finds and reaches whom."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

Manifest = Mapping[str, Any]
Manifests = Sequence[Manifest]


def of_kind(manifests: Manifests, *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: Manifests, kind: str, name: str) -> Manifest:
    return next(m for m in of_kind(manifests, kind) if m["metadata"]["name"] == name)


def pods(manifests: Manifests) -> list[tuple[Mapping[str, str], Manifest]]:
    """The labels and the spec of the pods that workloads make."""
    found = []
    for manifest in of_kind(manifests, "Deployment", "InferenceService"):
        if manifest["kind"] == "Deployment":
            template = manifest["spec"]["template"]
            found.append((template["metadata"]["labels"], template["spec"]))
        else:  # https://kserve.github.io/website: these are the labels of its pods
            name = manifest["metadata"]["name"]
            labels = {"serving.kserve.io/inferenceservice": name, "component": "predictor"}
            found.append((labels, manifest["spec"]["predictor"]))
    return found


def containers(spec: Manifest) -> list[Manifest]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def port_names(spec: Manifest) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in spec["containers"]
        for port in container["ports"]
    }


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector, or a Service's plain labels, match."""
    if not {"matchLabels", "matchExpressions"} & set(selector):
        return selector.items() <= labels.items()
    plain = selector.get("matchLabels", {}).items() <= labels.items()
    return plain and all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", [])
    )


def pods_of(manifests: Manifests, selector: Manifest) -> list[Manifest]:
    return [spec for labels, spec in pods(manifests) if selects(selector, labels)]


def config_maps_of(spec: Manifest) -> Iterator[str]:
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            yield volume["configMap"]["name"]
    for container in containers(spec):
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                yield source["configMapRef"]["name"]


def may_reach(
    manifests: Manifests,
    source: Mapping[str, str] | str,
    target: Mapping[str, str] | str,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Whether the NetworkPolicies let `source` connect to `target`.

    Both are a pod's labels in the same namespace, or an address elsewhere.
    """
    return (
        isinstance(source, str) or _allowed(manifests, "Egress", source, target, port, protocol)
    ) and (
        isinstance(target, str) or _allowed(manifests, "Ingress", target, source, port, protocol)
    )


def _allowed(
    manifests: Manifests,
    direction: str,
    pod: Mapping[str, str],
    peer: Mapping[str, str] | str,
    port: int,
    protocol: str,
) -> bool:
    policies = [
        policy["spec"]
        for policy in of_kind(manifests, "NetworkPolicy")
        if direction in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], pod)
    ]
    if not policies:
        return True  # nobody restricts it
    peers = "to" if direction == "Egress" else "from"
    return any(
        _has_port(rule, port, protocol)
        and (peers not in rule or any(_is_peer(one, peer) for one in rule[peers]))
        for policy in policies
        for rule in policy.get(direction.lower(), [])
    )


def _has_port(rule: Manifest, port: int, protocol: str) -> bool:
    return "ports" not in rule or any(
        (one["port"], one.get("protocol", "TCP")) == (port, protocol) for one in rule["ports"]
    )


def _is_peer(rule: Manifest, peer: Mapping[str, str] | str) -> bool:
    if isinstance(peer, str):
        block = rule.get("ipBlock")
        if block is None or ip_address(peer).version != ip_network(block["cidr"]).version:
            return False
        outside = (ip_network(text) for text in block.get("except", []))
        inside = ip_address(peer) in ip_network(block["cidr"])
        return inside and not any(ip_address(peer) in network for network in outside)
    return "namespaceSelector" not in rule and selects(rule.get("podSelector", {"": ""}), peer)
