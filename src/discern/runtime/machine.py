"""What this machine can do: how many cores are ours, and a name to keep measurements under."""

import hashlib
import os
import platform
from functools import cache
from pathlib import Path

LAMBDA_MB_A_CORE = 1769  # Lambda hands out processors by memory


@cache
def cores() -> int:
    """Cores this process may use: its CPU affinity, cut by the container's quota if it has one,
    or by a Lambda function's share."""
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min(allowed, _quota() or allowed, _lambda_share() or allowed))


def _quota() -> int | None:
    """Whole cores of the cgroup v2 CPU quota, or None where there is none."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(1, int(limit) // int(period))


def _lambda_share() -> int | None:
    """Whole cores of a Lambda function, which sees more than it gets; None elsewhere.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    """
    memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    return max(1, int(memory) // LAMBDA_MB_A_CORE) if memory else None


@cache
def fingerprint() -> str:
    """Short hash of processor, core count and engine versions: timings hold for these only."""
    facts = [platform.machine(), _processor(), str(cores()), *_engine_versions()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("vendor_id", "cpu family", "model\t", "model name", "flags")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def _engine_versions() -> list[str]:
    from importlib import metadata  # not needed unless a measurement is looked up

    found = []
    for package in ("onnxruntime", "onnxruntime-gpu", "openvino"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return found
