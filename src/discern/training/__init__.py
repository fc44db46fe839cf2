"""Training; the only room that imports torch and timm, and only where it must."""

from discern.training.train import train

__all__ = ["train"]
