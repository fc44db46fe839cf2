"""A picture's size, light and sharpness are those of the picture as a person sees it."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from discern.errors import PictureFormatError, PictureLimitError
from discern.images import PictureLimits, decode
from discern.images.decode import read_header
from discern.images.statistics import PictureStatistics, measured

Size = st.integers(1, 40)


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", orientation: int = 1) -> bytes:
    file, exif = BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    image.save(file, kind, **({"exif": exif} if orientation > 1 else {}))
    return file.getvalue()


def looks(data: bytes) -> PictureStatistics:
    return measured(data)[0]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WebP"])
def test_the_header_tells_the_size_of_the_upright_picture(kind: str, orientation: int) -> None:
    data = encoded(noise(20, 30), kind, orientation)
    header, image = read_header(data), decode(data)
    assert (header.format, header.width, header.height) == (kind, image.width, image.height)
    assert (image.width == 20) == (orientation in (6, 8))


def test_light() -> None:
    for level in (0, 51, 255):
        found = looks(encoded(Image.new("RGB", (30, 20), (level, level, level))))
        assert found.brightness == pytest.approx(level / 255)
        assert found.sharpness == 0
    green, blue = (Image.new("RGB", (9, 9), colour) for colour in ("lime", "blue"))
    assert looks(encoded(green)).brightness > 0.5  # luma, as the eye sees it
    assert looks(encoded(blue)).brightness < 0.2


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    image = noise(256, 256)
    grey = np.asarray(image.convert("L"), float)
    expected = ndimage.laplace(grey)[1:-1, 1:-1].var()
    assert looks(encoded(image)).sharpness == pytest.approx(expected, rel=1e-4)


def test_the_more_blur_the_less_sharpness() -> None:
    blurred = [noise(300, 200).filter(ImageFilter.GaussianBlur(r)) for r in (0, 1, 2, 4)]
    found = [looks(encoded(image)).sharpness for image in blurred]
    assert found == sorted(found, reverse=True)
    assert found[0] > 10 * found[-1]


def test_a_large_jpeg_decoded_small_looks_as_it_does_decoded_whole() -> None:
    image = noise(40, 60).resize((2400, 1600), Image.Resampling.BICUBIC)
    small, whole = (looks(encoded(image, kind)) for kind in ("JPEG", "BMP"))
    assert (small.width, small.height, small.format) == (2400, 1600, "JPEG")
    assert small.brightness == pytest.approx(whole.brightness, abs=0.01)
    assert small.sharpness == pytest.approx(whole.sharpness, rel=0.2)


@given(Size, Size)
def test_upside_down_it_is_as_bright_and_as_sharp(height: int, width: int) -> None:
    image = noise(height, width)
    found, turned = (looks(encoded(each)) for each in (image, image.transpose(Image.Transpose(3))))
    assert (turned.width, turned.height) == (width, height)
    assert turned.brightness == pytest.approx(found.brightness, abs=0.01)
    assert turned.sharpness == pytest.approx(found.sharpness, rel=0.05, abs=1)


def test_what_cannot_be_measured() -> None:
    for data in (b"no picture", encoded(noise(50, 50))[:100], b"\xff\xd8\xff", b""):
        with pytest.raises(PictureFormatError):
            looks(data)
    with pytest.raises(PictureLimitError):
        measured(encoded(noise(5, 50)), PictureLimits(max_side=40))
    assert looks(encoded(noise(1, 300))).sharpness == 0  # no pixel has four neighbours
