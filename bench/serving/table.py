"""What a section found, as lines for people and for programs."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

HEAD = ("", "ours", "limit", "peer", "ratio", "target")


@dataclass(frozen=True)
class Figure:
    """One line, or a remark; `ratio` is what the target speaks of where there is one."""

    what: str
    ours: float | None = None
    limit: float | None = None
    peer: float | None = None
    ratio: float | None = None
    target: str = ""


def divided(above: Figure, below: Figure, what: str, target: str = "") -> Figure:
    """Each one's quotient of two figures; ours is what the target speaks of."""

    def quotient(a: object, b: object) -> float | None:
        return a / b if isinstance(a, float) and isinstance(b, float) else None

    ours = quotient(above.ours, below.ours)
    limit, peer = quotient(above.limit, below.limit), quotient(above.peer, below.peer)
    return Figure(what, ours, limit, peer, ratio=ours, target=target)


def show(section: str, figures: Sequence[Figure]) -> None:
    """A table of a section's figures."""
    print(f"\n{section:<46}" + "".join(f"{name:>10}" for name in HEAD[1:-1]) + f"  {HEAD[-1]}")
    for f in figures:
        values = (f.ours, f.limit, f.peer, f.ratio)
        cells = "" if f.ours is None else "".join(f"{_short(value):>10}" for value in values)
        print(f"  {f.what:<44}{cells}  {f.target}".rstrip(), flush=True)


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "none"
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.2f}"


def as_json(found: Mapping[str, Sequence[Figure]]) -> str:
    """All sections in one line."""
    plain = {name: [_plain(f) for f in figures] for name, figures in found.items()}
    return json.dumps(plain, ensure_ascii=False)


def _plain(figure: Figure) -> dict[str, object]:
    def finite(value: object) -> object:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: finite(value) for key, value in asdict(figure).items() if value not in (None, "")}
