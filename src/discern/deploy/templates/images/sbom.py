"""Add to a bill of Python packages what else an image is made of: sbom.py NAME ROOT BILL OUTPUT.

NAME is the image's, ROOT its file system, BILL a CycloneDX document (cyclonedx.org, 1.5 or later).
"""

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote


def system(root: Path) -> list[dict[str, Any]]:
    """The operating system, its installed packages, and Python itself."""
    release = fields((root / "etc/os-release").read_text().replace('"', ""), "=")
    distribution = release["ID"]
    found = [
        component("operating-system", distribution, release.get("VERSION_ID", "")),
        component("application", "python", platform.python_version()),
    ]
    status = root / "var/lib/dpkg/status"
    paragraphs = status.read_text().split("\n\n") if status.is_file() else []
    for package in (fields(paragraph, ": ") for paragraph in paragraphs):
        if package.get("Status") == "install ok installed":
            name, version = package["Package"], package["Version"]
            purl = f"pkg:deb/{distribution}/{quote(name)}@{quote(version, safe='')}"
            purl += f"?arch={package['Architecture']}"
            found.append(component("library", name, version) | {"purl": purl, "bom-ref": purl})
    return found


def fields(text: str, separator: str) -> dict[str, str]:
    lines = (line.partition(separator) for line in text.splitlines() if not line.startswith(" "))
    return {name: value for name, found, value in lines if found}


def models(root: Path) -> list[dict[str, Any]]:
    """The models in the image, by the hash of their graph."""
    return [model(path.parent) for path in sorted(root.glob("models/*/*/model.json"))]


def model(folder: Path) -> dict[str, Any]:
    info = json.loads((folder / "model.json").read_text())
    graph = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    licence = info["backbone"].get("license", "unknown")
    return component("machine-learning-model", folder.parent.name, folder.name) | {
        "bom-ref": f"model-{folder.parent.name}-{folder.name}",
        "description": f"{info['backbone']['name']}: {', '.join(info['labels'])}",
        "hashes": [{"alg": "SHA-256", "content": graph}],
        "licenses": [{"license": {"name": f"{licence} (of the backbone's weights)"}}],
    }


def component(kind: str, name: str, version: str) -> dict[str, Any]:
    return {"type": kind, "name": name, "version": version}


def main(image: str, root: Path, bill: Path, output: Path) -> None:
    document = json.loads(bill.read_text())
    path, _, last = image.rpartition("/")
    name, _, tag = last.partition(":")  # a colon further left belongs to a port
    container = component("container", f"{path}/{name}".lstrip("/"), tag or "latest")
    document["metadata"]["component"] = container | {"bom-ref": "image"}
    parts = [*system(root), *models(root)]
    document["components"] = [*document.get("components", []), *parts]
    output.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
