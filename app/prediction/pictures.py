"""From a PNG or a JPEG to float32 [1, C, H, W] in 0..1, as people see the picture."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from app.contract.predicting import Invert
from app.errors import UnreadableInput

LARGEST_PIXELS = 25_000_000
"""Pixels that an image may have before it is scaled: what a good camera makes, and 100 MB when decoded."""

Floats = npt.NDArray[np.float32]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of each EXIF orientation upright; one of orientation 1 is upright."""
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24
"""Where the header of a PNG says how many bits a sample has."""
_DEEP = 16
_STEP = {2: 85, 4: 17}
"""For the bits of a sample, the step of one in values of 8 bits, where Pillow does not scale by itself."""
_BLACK, _WHITE = 0, 255
_LIGHT = 0.5
_OPAQUE = 0.5
_AT_ONCE = 1_000_000
"""Pixels of one strip."""


def decode_image(content: bytes, input_shape: tuple[int, int, int], invert: Invert = "false") -> Floats:
    """One PNG or JPEG as float32 [1, C, H, W] in 0..1, converted to the input's channels and scaled to its size.

    It is turned upright as its EXIF orientation says. What is transparent becomes black, also where values are
    inverted. A single channel is the luminance. An animation counts by its first picture. 16-bit grey keeps its
    precision. Raises `UnreadableInput`.

    Values are inverted if `invert` says so: MNIST is light on dark, ink on paper is not. `auto` inverts what has a light
    edge, and what is dark on a transparent ground.
    """
    _, height, width = input_shape
    try:
        with _open_image(content) as image:
            image.draft(
                None, (2 * max(height, width),) * 2
            )  # a JPEG need not be decoded in a size that nobody looks at
            if invert == "false":
                return _scaled(image, content, input_shape, _BLACK)
            on_white = _scaled(image, content, input_shape, _WHITE)
            if invert == "true":
                return 1 - on_white
            on_black = _scaled(image, content, input_shape, _BLACK) if image.has_transparency_data else on_white
            return 1 - on_white if _is_dark_on_light(on_black, on_white) else on_black
    except UnreadableInput:
        raise
    except Exception as error:  # Pillow's decoders raise more types than they document; all mean the same here
        raise UnreadableInput("the image is truncated or damaged; it must be a PNG or a JPEG") from error


def _open_image(content: bytes) -> Image.Image:
    """Read the header only. The class is chosen here, so that Pillow never tries its many other formats."""
    if content.startswith(_PNG_BEGIN):
        image: Image.Image = PngImageFile(io.BytesIO(content))
    elif content.startswith(b"\xff\xd8\xff"):
        image = JpegImageFile(io.BytesIO(content))
    else:
        raise UnreadableInput("the body is neither a PNG nor a JPEG")
    if image.width * image.height > LARGEST_PIXELS:
        raise UnreadableInput(f"the image has more than {LARGEST_PIXELS:,} pixels; scale it down first")
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; a picture whose EXIF cannot be read is taken as it is stored, as viewers do."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  Pillow raises here, too, whatever comes up
        return 1


def _scaled(image: Image.Image, content: bytes, input_shape: tuple[int, int, int], ground: int) -> Floats:
    """The picture as an input [1, C, H, W]; `ground`, `_BLACK` or `_WHITE`, shows through what is transparent."""
    channels, height, width = input_shape
    pixels = _converted(image, content, channels, ground)
    turn = _UPRIGHT.get(_orientation(image))
    upright = pixels if turn is None else pixels.transpose(turn)
    scaled = upright.resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(scaled, np.float32) / np.float32(65535 if scaled.mode == "F" else 255)
    return values.reshape(1, height, width, channels).transpose(0, 3, 1, 2).clip(0, 1).copy()


def _converted(image: Image.Image, content: bytes, channels: int, ground: int) -> Image.Image:
    """The image in the model's channels, without transparency; made strip by strip, as Pillow lets nobody else run."""
    image.load()
    whole = Image.new("RGB" if channels > 1 else "F" if image.mode.startswith("I") else "L", image.size)
    height = max(_AT_ONCE // image.width, 1)
    for top in range(0, image.height, height):
        strip = image.crop((0, top, image.width, min(top + height, image.height)))
        whole.paste(_in_channels(_opaque(strip, content, ground), channels), (0, top))
    return whole


def _opaque(image: Image.Image, content: bytes, ground: int) -> Image.Image:
    """The image without transparency: the ground shows through."""
    clear = image.info.get("transparency")
    if image.mode in {"LA", "PA", "RGBA"} or (image.mode == "P" and clear is not None):
        behind = Image.new("RGBA", image.size, (ground, ground, ground, 255))
        return Image.alpha_composite(behind, image.convert("RGBA"))
    if clear is None or not content.startswith(_PNG_BEGIN):
        return image
    # One grey or colour of the file is transparent. Pillow scales the pixels to 8 bits, but not this value.
    pixels = np.array(image.convert("L") if image.mode == "1" else image)
    depth = content[_PNG_DEPTH]
    value = np.asarray(clear) * _STEP.get(depth, 1)
    if depth == _DEEP and not image.mode.startswith("I"):
        value >>= 8
    channels = pixels.reshape(image.height, image.width, -1)
    channels[(channels == value).all(axis=-1)] = ground * 257 if image.mode.startswith("I") else ground
    return Image.fromarray(pixels)


def _in_channels(image: Image.Image, channels: int) -> Image.Image:
    """The image in mode L or RGB, 8 bits; 16-bit grey for one channel is in mode F, 0 to 65535."""
    if image.mode.startswith("I"):
        grey = image.convert("I").convert("F")
        return grey if channels == 1 else Image.merge("RGB", [grey.point(lambda value: value / 257).convert("L")] * 3)
    return image.convert("L" if channels == 1 else "RGB")


def _is_dark_on_light(on_black: Floats, on_white: Floats) -> bool:
    """Whether an input [1, C, H, W] is ink on a ground that is light, or that is transparent and was meant to be light.

    The edge shows the ground, since ink has few pixels there: a light ground has a light median. Where most of the edge
    is transparent, the other pixels are the ink: dark ink has a dark mean.
    """
    opacity = 1 - (on_white - on_black)  # the more of the ground shows through, the more the two differ
    edge = np.ones(opacity.shape, bool)
    edge[..., 1:-1, 1:-1] = False
    if opacity[edge].mean() > _OPAQUE:
        seen = edge & (opacity > _OPAQUE)
        return bool(np.median(on_black[seen] / opacity[seen]) > _LIGHT)
    return bool(on_black.sum() < _LIGHT * opacity.sum())
