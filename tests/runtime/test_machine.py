"""What the machine allows: asked in a fresh process, since it is remembered."""

import os
import subprocess
import sys

import pytest

from discern.runtime import machine


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_cores_are_those_this_process_may_use() -> None:
    code = (
        "import os\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from discern.runtime.machine import cores\nprint(cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_there_is_at_least_one_core() -> None:
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = "from discern.runtime.machine import fingerprint\nprint(fingerprint())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == machine.fingerprint()


def test_the_fingerprint_tells_core_counts_apart() -> None:
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one core only")
    code = (
        "import os\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from discern.runtime.machine import fingerprint\nprint(fingerprint())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() != machine.fingerprint()
