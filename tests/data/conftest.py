"""Trees of tiny pictures; readers never decode, so that most of them need no pixels."""

from pathlib import Path

import pytest
from trees import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """`tree("cat/1.jpg", "dog/1.jpg")` makes these files, empty, and gives their folder."""

    def make(*files: str, **texts: str) -> Path:
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for stem, text in texts.items():
            (tmp_path / f"{stem}.csv").write_text(text, encoding="utf-8")
        return tmp_path

    return make
