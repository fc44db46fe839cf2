"""Images built and run for real: what they add to their base, how they start, answer and stop.

For machines with buildah and root, and no Docker: bench/images.py MODEL PICTURES --base IMAGE.
Each image runs as its user, as process 1 of its own, on a root file system that is mounted
read-only, with a tmpfs at /tmp; the gateway and the model server run beside each other.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from discern.deploy.images import image_files
from discern.deploy.rendering import write
from discern.deploy.subject import read_subject
from serving.servers import Server, descendants, free_port, running

MB, PICTURES = 1e6, 200
SERVERS = ("all-in-one", "model-server", "gateway")

# In namespaces of its own: what is mounted ends with it, and its first process is number 1.
READ_ONLY = """
mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" &&
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --rbind /sys "$0/sys" &&
mount -t tmpfs tmpfs "$0/tmp" && chmod 1777 "$0/tmp" &&
exec chroot --userspec="$1" "$0" env -i "${@:2}"
"""


@dataclass(frozen=True)
class Built:
    """An image that was built, and a mounted container of it."""

    kind: str
    seconds: float
    root: Path
    added: float  # bytes beyond the base
    config: Mapping[str, object]


@dataclass(frozen=True)
class Ran:
    """How it ran: seconds, MB, and how it ended."""

    ready: float
    idle: float
    after: float
    answered: int
    stopped: float
    code: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, help="a folder with JPEGs below it")
    parser.add_argument("--base", required=True, help="the base image")
    parser.add_argument("--wheel", type=Path, required=True, help="discern's own")
    asked = parser.parse_args()
    pictures = sorted(asked.pictures.rglob("*.jpg"))[:PICTURES]
    with TemporaryDirectory() as folder, mounted(asked.base) as (base, _config):
        render(asked.model, asked.wheel, Path(folder) / "out")
        with all_built(Path(folder) / "out", asked.base, tree_bytes(base)) as images:
            composition(images["all-in-one"].root)
            for kind, ran in run_all(images, pictures):
                print_row(images[kind], ran)
            print_row(images["lambda"], None)


def render(model: Path, wheel: Path, output: Path) -> None:
    kinds = (*SERVERS, "lambda")
    write(image_files(read_subject(model, "model"), kinds, wheel), output)


@contextmanager
def all_built(context: Path, base: str, base_bytes: int) -> Iterator[dict[str, Built]]:
    """Build every kind, mount them, and take them away again."""
    kinds = [path.parent.name for path in sorted(context.glob("images/*/Dockerfile"))]
    seconds = {kind: build(kind, context, base) for kind in kinds}
    names = [image_name(kind) for kind in kinds]
    try:
        with mounts(names) as trees:
            yield {
                kind: Built(kind, seconds[kind], root, tree_bytes(root) - base_bytes, config)
                for kind, (root, config) in zip(kinds, trees, strict=True)
            }
    finally:
        buildah("rmi", *names)


def image_name(kind: str) -> str:
    return f"discern-bench-{kind}"


def build(kind: str, context: Path, base: str) -> float:
    """Seconds to build one kind, with what the builder has of pip's downloads."""
    started = time.monotonic()
    buildah(
        *("bud", "--quiet", "--format", "docker", "--isolation", "chroot", "--no-cache"),
        *("--build-arg", f"PYTHON_IMAGE={base}", "--tag", image_name(kind)),
        *("--file", str(context / f"images/{kind}/Dockerfile"), str(context)),
    )
    return time.monotonic() - started


@contextmanager
def mounts(images: Sequence[str]) -> Iterator[list[tuple[Path, Mapping[str, object]]]]:
    if not images:
        yield []
        return
    with mounted(images[0]) as first, mounts(images[1:]) as others:
        yield [first, *others]


@contextmanager
def mounted(image: str) -> Iterator[tuple[Path, Mapping[str, object]]]:
    """A container of an image: its root, and what the image says of how to run it."""
    container = buildah("from", image)
    try:
        about = json.loads(buildah("inspect", container))
        yield Path(buildah("mount", container)), about["Docker"]["config"]
    finally:
        buildah("rm", container)


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"buildah {' '.join(arguments)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


def tree_bytes(root: Path) -> int:
    paths = (Path(at) / name for at, _folders, names in os.walk(root) for name in names)
    return sum(path.lstat().st_size for path in paths)


def composition(root: Path) -> None:
    """What the all-in-one image adds to its base, in MB."""
    packages = next(root.glob("opt/discern/lib/python3.*/site-packages"))
    sizes = {path.name: tree_bytes(path) / MB for path in packages.iterdir() if path.is_dir()}
    large = sorted(sizes, key=lambda name: -sizes[name])[:10]
    rest = sum(size for name, size in sizes.items() if name not in large)
    for name in large:
        print(f"{sizes[name]:8.1f} MB  {name}")
    print(f"{rest:8.1f} MB  other packages")
    print(f"{tree_bytes(root / 'models') / MB:8.1f} MB  the model folder")
    code = sum(path.stat().st_size for path in packages.rglob("*.pyc")) / MB
    print(f"   (byte code, in the above: {code:.1f} MB)\n")


def run_all(images: Mapping[str, Built], pictures: Sequence[Path]) -> Iterator[tuple[str, Ran]]:
    """All-in-one alone, then the two tiers together."""
    port = free_port()
    with started(images["all-in-one"], port, "--port", str(port)) as server:
        yield "all-in-one", watched(server, pictures)
    port, grpc, http = free_port(), free_port(), free_port()
    ports = ("--grpc-port", str(grpc), "--http-port", str(http))
    upstream = ("--upstream", f"grpc://127.0.0.1:{grpc}")
    with started(images["model-server"], http, *ports) as model_server:
        model_idle = model_server.memory()
        with started(images["gateway"], port, "--port", str(port), *upstream) as gateway:
            yield "gateway", watched(gateway, pictures)
        yield "model-server", ended(model_server, model_idle, len(pictures))


@contextmanager
def started(image: Built, port: int, *options: str) -> Iterator[Server]:
    """The image's own command with other ports, on loopback; in place of its upstream, ours."""
    config = image.config
    command = [str(word) for word in config["Cmd"]]  # type: ignore[attr-defined]
    if "--upstream" in command:
        at = command.index("--upstream")
        del command[at : at + 2]
    isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", READ_ONLY]
    inside = [str(image.root), str(config["User"]), *map(str, config["Env"])]  # type: ignore
    whole = [*isolated, *inside, *command, "--host", "127.0.0.1", *options]
    with running(image.kind, whole, port) as server:
        yield server


def watched(server: Server, pictures: Sequence[Path]) -> Ran:
    idle = server.memory()
    answered = sum(is_answered(server.port, path) for path in pictures)
    return ended(server, idle, answered)


def is_answered(port: int, picture: Path) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/predict", picture.read_bytes(), {"Content-Type": "image/jpeg"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return "label" in answer


def ended(server: Server, idle: float, answered: int) -> Ran:
    """What it takes now; then it is told to stop, as process 1, and waited for."""
    after = server.memory()
    if b"discern_" not in metrics(server.port):
        sys.exit(f"{server.name} has no metrics.")
    told = time.monotonic()
    os.kill(descendants(server.process.pid)[-1], signal.SIGTERM)
    code = server.process.wait(30)
    return Ran(server.ready_seconds, idle, after, answered, time.monotonic() - told, code)


def metrics(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/metrics")
    return connection.getresponse().read()


def print_row(image: Built, ran: Ran | None) -> None:
    print(
        f"{image.kind:13} adds {image.added / MB:4.0f} MB, built in {image.seconds:3.0f} s", end=""
    )
    if ran is not None:
        print(
            f"; ready after {ran.ready:.1f} s; {ran.idle:.0f} MB, {ran.after:.0f} MB after "
            f"{ran.answered} pictures; stopped in {ran.stopped:.1f} s with {ran.code}",
            end="",
        )
    print()


if __name__ == "__main__":
    main()
