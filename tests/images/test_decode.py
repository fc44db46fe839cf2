"""Every format and mode, the right way up, within limits, and hostile bytes."""

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from generated_pictures import difference, encode, noise, photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from discern.errors import (
    PictureError,
    PictureFormatError,
    PictureLimitError,
    PictureReadError,
)
from discern.images import PictureLimits, decode, read_bytes

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
LOSSY = ["JPEG", "WEBP"] + (["AVIF"] if features.check("avif") else [])


def one_pixel(image: Image.Image) -> tuple[int, ...]:
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_come_back_exactly(kind: str) -> None:
    picture = noise(13, 29)
    assert not difference(decode(encode(picture, kind, **LOSSLESS[kind])), picture).any()


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_come_back_nearly(kind: str) -> None:
    picture = photo(60, 90)
    decoded = decode(encode(picture, kind, quality=95))
    assert decoded.mode == "RGB"
    assert difference(decoded, picture).mean() < 4


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_compressed_tiff(compression: str) -> None:
    picture = photo(40, 50)
    decoded = decode(encode(picture, "TIFF", compression=compression))
    assert difference(decoded, picture).mean() < 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_palette_and_one_bit(kind: str, mode: str) -> None:
    picture = photo(20, 30).convert(mode)
    decoded = decode(encode(picture, kind))
    assert decoded.mode == "RGB"
    assert not difference(decoded, picture.convert("RGB")).any()


def test_grey_jpeg() -> None:
    decoded = np.asarray(decode(encode(photo(20, 30).convert("L"), "JPEG")))
    assert (decoded == decoded[..., :1]).all()


def test_cmyk_jpeg_is_not_inverted() -> None:
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert one_pixel(decode(encode(white, "JPEG"))) == (255, 255, 255)
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    assert difference(one_pixel(decode(encode(cyan, "JPEG", quality=95))), (0, 255, 255)).max() < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_laid_on_white(mode: str, kind: str) -> None:
    if (mode, kind) in {("PA", "PNG"), ("PA", "WEBP")}:
        pytest.skip("Pillow cannot write it")
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (2, 0, 4, 4))
    decoded = decode(encode(picture.convert(mode), kind, **LOSSLESS[kind]))
    assert one_pixel(decoded) == (255, 255, 255)
    assert decoded.getpixel((3, 0)) == (0, 0, 0)


def test_half_transparent_is_half_white() -> None:
    assert one_pixel(decode(encode(Image.new("RGBA", (2, 2), (255, 0, 0, 128)), "PNG"))) == (
        255,
        127,
        127,
    )


@pytest.mark.parametrize(
    ("mode", "transparent"), [("RGB", (255, 0, 0)), ("L", 76), ("P", 0), ("1", 0)]
)
def test_png_with_a_transparent_colour(mode: str, transparent: object) -> None:
    if mode == "P":
        picture = Image.new("P", (4, 4), 0)
        picture.putpalette([255, 0, 0, 0, 0, 255])
    else:
        picture = Image.new(mode, (4, 4), transparent)  # type: ignore[arg-type]
    decoded = decode(encode(picture, "PNG", transparency=transparent))
    assert one_pixel(decoded) == (255, 255, 255)
    assert not decoded.info


def test_palette_png_with_an_alpha_per_colour() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    decoded = decode(encode(picture, "PNG", transparency=bytes([0, 255])))
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 255)]


def test_transparent_gif() -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert one_pixel(decode(encode(picture, "GIF", transparency=0))) == (255, 255, 255)


def deep_grey(dtype: str) -> np.ndarray:
    return np.array([[0, 128, 129, 257], [32768, 65278, 65407, 65535]], dtype)


@pytest.mark.parametrize(("kind", "dtype"), [("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", "<i4")])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str, dtype: str) -> None:
    picture = Image.fromarray(deep_grey(dtype))
    decoded = np.asarray(decode(encode(picture, kind)))
    assert decoded[..., 0].tolist() == [[0, 0, 1, 1], [128, 254, 255, 255]]


def test_sixteen_bit_grey_big_endian_tiff() -> None:
    picture = Image.frombytes("I;16B", (4, 2), deep_grey(">u2").tobytes())
    decoded = np.asarray(decode(encode(picture, "TIFF")))
    assert decoded[..., 1].tolist() == [[0, 0, 1, 1], [128, 254, 255, 255]]


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, for what Pillow cannot write or would refuse to."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def test_sixteen_bit_colour_png() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 32896, 0, 257, 514, 65535)
    decoded = decode(png(2, 1, 16, 2, row))
    assert [decoded.getpixel((x, 0)) for x in (0, 1)] == [(255, 128, 0), (1, 2, 255)]


@pytest.mark.parametrize("mode", ["F", "LAB"])
def test_modes_without_an_agreed_meaning_are_refused(mode: str) -> None:
    with pytest.raises(PictureFormatError, match="save it as"):
        decode(encode(Image.new(mode, (3, 3)), "TIFF"))


def test_grey_outside_sixteen_bits_is_refused() -> None:
    with pytest.raises(PictureFormatError, match="outside 0 to 65535"):
        decode(encode(Image.fromarray(np.full((2, 2), -1, np.int32)), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = LOSSLESS.get(kind, {})
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert one_pixel(decode(data)) == (255, 0, 0)


STORED = {  # how an upright picture is stored under each EXIF orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def lying(picture: Image.Image, orientation: int) -> tuple[Image.Image, Image.Exif]:
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    exif[0x0112] = orientation
    return (picture.transpose(turn) if turn is not None else picture), exif


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_exif_orientation(kind: str, orientation: int) -> None:
    picture = noise(10, 17)
    stored, exif = lying(picture, orientation)
    decoded = decode(encode(stored, kind, exif=exif, **LOSSLESS[kind]))
    assert decoded.size == picture.size
    assert not difference(decoded, picture).any()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG"] + (["AVIF"] if features.check("avif") else []))
def test_exif_orientation_of_lossy_formats(kind: str, orientation: int) -> None:
    picture = photo(80, 144)
    stored, exif = lying(picture, orientation)
    decoded = decode(encode(stored, kind, exif=exif, quality=95))
    assert decoded.size == picture.size
    assert difference(decoded, picture).mean() < 4


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation_in_both_byte_orders(order: str) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    data = encode(photo(16, 32), "JPEG", exif=b"Exif\0\0" + mark + entry)
    assert decode(data).size == (16, 32)


@pytest.mark.parametrize("exif", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"XX*\0" + bytes(40)])
def test_damaged_exif_is_no_reason_to_refuse(exif: bytes) -> None:
    assert decode(encode(photo(16, 32), "JPEG", exif=b"Exif\0\0" + exif)).size == (32, 16)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("target", [(224, 224), (100, 300), (1, 1), (31, 90), (5000, 10)])
@pytest.mark.parametrize("size", [(700, 999), (449, 448), (2047, 513), (30, 40)])
def test_scaled_decode_is_never_smaller_than_asked(
    size: tuple[int, int], target: tuple[int, int], orientation: int
) -> None:
    stored, exif = lying(photo(*size), orientation)
    decoded = decode(encode(stored, "JPEG", exif=exif), at_least=target)
    assert decoded.height >= min(target[0], size[0])
    assert decoded.width >= min(target[1], size[1])


def test_scaled_decode_is_scaled_and_close_to_the_full_one() -> None:
    data = encode(photo(1200, 1600), "JPEG", quality=90)
    full, scaled = decode(data), decode(data, at_least=(256, 256))
    assert scaled.size == (400, 300)
    assert difference(full.resize((400, 300), Image.Resampling.BOX), scaled).mean() < 2


def test_an_upright_target_is_kept_by_a_picture_stored_on_its_side() -> None:
    stored, exif = lying(photo(1600, 400), 6)
    data = encode(stored, "JPEG", exif=exif)
    assert decode(data, at_least=(800, 200)).size == (200, 800)
    assert decode(data, at_least=(200, 400)).size == (400, 1600)


def test_other_formats_ignore_at_least() -> None:
    assert decode(encode(photo(400, 400), "PNG"), at_least=(10, 10)).size == (400, 400)


def test_limits_on_sides_pixels_and_bytes() -> None:
    data = encode(photo(20, 50), "PNG")
    assert decode(data, limits=PictureLimits(len(data), 1000, 50)).size == (50, 20)
    for limits in (
        PictureLimits(max_bytes=len(data) - 1),
        PictureLimits(max_pixels=999),
        PictureLimits(max_side=49),
    ):
        with pytest.raises(PictureLimitError):
            decode(data, limits=limits)


def bomb_headers() -> dict[str, bytes]:
    small = Image.new("L", (8, 8))
    gif = bytearray(encode(small, "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    bmp = bytearray(encode(small, "BMP"))
    bmp[18:26] = struct.pack("<ii", 60000, 60000)
    jpeg = bytearray(encode(small, "JPEG"))
    sof = jpeg.index(b"\xff\xc0")
    jpeg[sof + 5 : sof + 9] = struct.pack(">HH", 65500, 65500)
    tiff = bytearray(encode(small, "TIFF"))
    for tag in (b"\x00\x01", b"\x01\x01"):  # ImageWidth, ImageLength
        at = tiff.index(tag + b"\x04\x00\x01\x00\x00\x00", 8)
        tiff[at + 8 : at + 12] = struct.pack("<I", 60000)
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    return {
        "PNG": png(60000, 60000, 8, 2, b"\0" * 1000),
        "PNG within one side": png(20_000, 20_000, 8, 2, b"\0" * 1000),
        "GIF": bytes(gif),
        "BMP": bytes(bmp),
        "JPEG": bytes(jpeg),
        "TIFF": bytes(tiff),
        "WebP": webp + (60000).to_bytes(3, "little") * 2,
    }


@pytest.mark.parametrize("kind", bomb_headers())
def test_bombs_are_refused_by_their_header(kind: str) -> None:
    expected = PictureError if kind == "WebP" else PictureLimitError  # older Pillow: unreadable
    with pytest.raises(expected):
        decode(bomb_headers()[kind])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "unknown format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unknown format"),
        (b"8BPS" + bytes(40), "unknown format"),
        (b"\xff\xd8\xff" + bytes(40), "damaged JPEG"),
        (encode(photo(50, 50), "JPEG")[:900], "truncated JPEG"),
        (encode(photo(50, 50), "PNG")[:900], "truncated PNG"),
    ],
)
def test_reasons_are_short_and_human(data: bytes, reason: str) -> None:
    with pytest.raises(PictureFormatError, match=reason):
        decode(data)


def valid_files() -> list[bytes]:
    picture = photo(24, 33)
    exif = lying(picture, 6)[1]
    kinds = [*LOSSLESS, *LOSSY, "GIF"]
    grey = Image.fromarray(deep_grey("<u2"))
    return [
        *(encode(picture, kind) for kind in kinds),
        encode(picture, "JPEG", exif=exif, progressive=True),
        encode(picture.convert("CMYK"), "JPEG"),
        encode(picture, "TIFF", compression="tiff_lzw", exif=exif),
        encode(picture.convert("RGBA"), "WEBP", lossless=True, exif=exif),
        encode(grey, "PNG"),
        encode(picture.convert("P"), "PNG", transparency=3),
    ]


def check_hostile(data: bytes) -> None:
    try:
        picture = decode(data, at_least=(8, 8), limits=PictureLimits(max_pixels=1_000_000))
    except PictureError as exc:
        assert str(exc)
    else:
        assert picture.mode == "RGB"
        np.asarray(picture)


BEGINNINGS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*"]


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=200))
def test_random_bytes_give_a_picture_or_a_picture_error(start: bytes, rest: bytes) -> None:
    check_hostile(start + rest)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_mutilated_files_give_a_picture_or_a_picture_error(choices: st.DataObject) -> None:
    data = bytearray(choices.draw(st.sampled_from(valid_files())))
    for _ in range(choices.draw(st.integers(0, 6))):
        at = choices.draw(st.integers(0, min(len(data), 300) - 1) | st.integers(0, len(data) - 1))
        data[at] = choices.draw(st.integers(0, 255))
    end = choices.draw(st.just(len(data)) | st.integers(0, len(data)))
    check_hostile(bytes(data[:end]))


def test_threads_agree_with_one_thread() -> None:
    files = valid_files() * 4
    alone = [np.asarray(decode(data)).tobytes() for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: np.asarray(decode(data)).tobytes(), files))
    assert together == alone


def test_read_bytes_gives_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert read_bytes(tmp_path / "a") == b"abc"
    assert read_bytes(str(tmp_path / "a"), PictureLimits(max_bytes=3)) == b"abc"


def test_read_bytes_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(11))
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, kind, reason in [
        ("absent", PictureReadError, "no such file"),
        (".", PictureReadError, "directory"),
        ("pipe", PictureReadError, "not a regular file"),
        ("null\0byte", PictureReadError, "null byte"),
        ("empty", PictureFormatError, "empty file"),
        ("big", PictureLimitError, "11 bytes; at most 10"),
    ]:
        with pytest.raises(kind, match=reason):
            read_bytes(tmp_path / name, PictureLimits(max_bytes=10))
