"""The demo, whole: what the README promises on its first screen."""

import json
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-c", "from discern.cli import main; main()", "demo", "--json"]


def test_demo_trains_a_good_model_and_uses_it_again(tmp_path: Path) -> None:
    first, second = (
        subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    found = json.loads(first.stdout)
    assert found["accuracy"]["value"] >= 0.98
    assert (tmp_path / "demo/digits-model/report.html").is_file()
    hits = [Path(name).parent.name == label for name, label in found["predictions"].items()]
    assert len(hits) == 6
    assert sum(hits) >= 5
    assert json.loads(second.stdout) == found
    assert "delete it to train again" in second.stderr
