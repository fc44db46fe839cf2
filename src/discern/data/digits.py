"""Real pictures that come with a dependency: scikit-learn's handwritten digits, as PNG files.

1,797 digits of 8 x 8 pixels in 17 greys (Alpaydin and Kaynak, 1998), a folder per class.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from discern.errors import DatasetError

SIDE = 32  # they are enlarged four times, so that a person can see them too


def write_digits(folder: Path) -> Path:
    """Write the digits below `folder`, a folder per class; does nothing if it is there."""
    if folder.exists():
        return folder
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as exc:
        raise DatasetError(
            "The digits come with scikit-learn. Install it with: pip install 'discern[train]'"
        ) from exc
    digits = load_digits()
    stage = folder.with_name(f".{folder.name}.tmp")
    for i, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        grey = Image.fromarray(np.round(pixels * (255 / 16)).astype(np.uint8))
        path = stage / str(label) / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
    return stage.rename(folder)
