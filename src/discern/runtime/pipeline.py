"""Pictures in, graph outputs out: in order, streaming, every core busy."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, repeat
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from discern.errors import PictureError, PictureFormatError
from discern.images import PictureLimits, PreprocessSpec, decode, read_bytes, to_input
from discern.images.decode import upright
from discern.runtime.engine import Engine, Images, Outputs
from discern.runtime.machine import cores

# A file, an encoded picture, a Pillow image, or what gives the encoded picture when it is called
# (and may raise PictureError): a fetch, say, which then runs beside others.
Picture = str | os.PathLike[str] | bytes | Image.Image | Callable[[], bytes]
Facts = npt.NDArray[np.float32] | None  # a picture's metadata [M]; None where nothing is known
In = TypeVar("In")
Out = TypeVar("Out")

CHUNK = 8  # pictures a task takes: enough that handing tasks out costs nothing beside the work


def to_pixels(
    picture: Picture, spec: PreprocessSpec, limits: PictureLimits = PictureLimits()
) -> Images:
    """The one way from a picture to what a model sees, uint8 [H, W, 3]; raises PictureError.

    A Pillow image is turned upright, laid on white and scaled to 8 bits as its file would be.
    """
    return to_input(opened(picture, spec, limits), spec)


def opened(
    picture: Picture, spec: PreprocessSpec, limits: PictureLimits = PictureLimits()
) -> Image.Image:
    """The upright picture that is resized and cropped to what a model sees.

    A large JPEG may have been decoded at a fraction of its size. Raises PictureError.
    """
    if isinstance(picture, Image.Image):
        return _upright_copy(picture)
    if callable(picture):
        data = picture()
    else:
        data = picture if isinstance(picture, bytes) else read_bytes(picture, limits)
    return decode(data, at_least=spec.target if spec.scaled_decode else None, limits=limits)


def _upright_copy(image: Image.Image) -> Image.Image:
    try:
        return upright(image.copy())
    except (OSError, SyntaxError) as exc:  # it was opened, but its pixels are only read now
        raise PictureFormatError(f"cannot be decoded: {exc}") from exc


def run_pictures(
    pictures: Iterable[Picture],
    engine: Engine,
    spec: PreprocessSpec,
    limits: PictureLimits = PictureLimits(),
    workers: int | None = None,
    metadata: Iterable[Facts] | None = None,
) -> Iterator[Outputs | PictureError]:
    """Each picture's outputs (without the batch dimension) or what is wrong with it, in order.

    `metadata` goes along with the pictures, as many rows as there are pictures: ValueError else.
    Memory does not grow with their number: only a few tasks per core are in flight.
    """

    def answer(chunk: Sequence[tuple[Picture, Facts]]) -> list[Outputs | PictureError]:
        return _answer(chunk, engine, spec, limits)

    pairs: Iterable[tuple[Picture, Facts]]
    if metadata is None:
        pairs = zip(pictures, repeat(None), strict=False)
    else:
        pairs = zip(pictures, metadata, strict=True)
    size = max(CHUNK, engine.batch_size)
    for answers in ordered_map(answer, chunks(pairs, size), workers or cores()):
        yield from answers


def _answer(
    chunk: Sequence[tuple[Picture, Facts]],
    engine: Engine,
    spec: PreprocessSpec,
    limits: PictureLimits,
) -> list[Outputs | PictureError]:
    pixels = [_pixels_or_error(picture, spec, limits) for picture, _ in chunk]
    pairs = zip(pixels, (facts for _, facts in chunk), strict=True)
    rows = _run([(p, facts) for p, facts in pairs if not isinstance(p, PictureError)], engine)
    return [p if isinstance(p, PictureError) else next(rows) for p in pixels]


def _run(good: Sequence[tuple[Images, Facts]], engine: Engine) -> Iterator[Outputs]:
    """Each picture's outputs; only where some have metadata does the engine hear of it."""
    if not good:
        return iter(())
    images = np.stack([pixels for pixels, _ in good])
    known = [facts for _, facts in good if facts is not None]
    if not known:
        return unstacked(engine.run(images), len(good))
    nothing = np.zeros_like(known[0])
    metadata = np.stack([nothing if facts is None else facts for _, facts in good])
    return unstacked(engine.run(images, metadata), len(good))


def _pixels_or_error(
    picture: Picture, spec: PreprocessSpec, limits: PictureLimits
) -> Images | PictureError:
    try:
        return to_pixels(picture, spec, limits)
    except PictureError as exc:
        return exc


def unstacked(outputs: Outputs, n: int) -> Iterator[Outputs]:
    """The outputs of a batch of `n`, picture by picture."""
    for i in range(n):
        yield {name: values[i] for name, values in outputs.items()}


def chunks(items: Iterable[In], size: int) -> Iterator[Sequence[In]]:
    """Consecutive runs of at most `size` items."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def ordered_map(
    fn: Callable[[In], Out], items: Iterable[In], workers: int, ahead: int = 3
) -> Iterator[Out]:
    """`map` over threads, in order, reading at most `ahead` items per worker in advance."""
    source, waiting = iter(items), deque[Future[Out]]()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="discern")
    try:
        for item in islice(source, workers * ahead):
            waiting.append(pool.submit(fn, item))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(fn, item) for item in islice(source, 1))
            yield done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
