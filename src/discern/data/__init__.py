"""Samples: what they are, how they are read, how they are divided."""

from discern.data.dataset import Dataset, Sample
from discern.data.readers import load_dataset
from discern.data.splits import hold_out, require_trainable, split_dataset

__all__ = [
    "Dataset",
    "Sample",
    "hold_out",
    "load_dataset",
    "require_trainable",
    "split_dataset",
]
