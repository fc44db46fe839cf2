"""How bytes and pixels are written."""

from __future__ import annotations


def in_bytes(value: float) -> str:
    """Bytes in the unit that suits: 950 is "950 B", 12,345 is "12 kB", 1,234,567 is "1.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.1f} {unit}" if value < 9.95 and unit != "B" else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def in_pixels(width: float, height: float) -> str:
    """A picture's size: "400 × 533"."""
    return f"{width:.0f} × {height:.0f}"
