"""From a PNG or a JPEG to float32 [1, C, H, W] in 0..1, as people see the picture."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from app.errors import UnreadableInput
from app.schemas import Invert

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
"""What turns a picture of each EXIF orientation upright; 1 is."""
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24
"""Where the header of a PNG says how many bits a sample has."""
_DEEP = 16
_STEP = {2: 85, 4: 17}
"""For each number of bits in a sample, what one more is in 8 bits, where Pillow does not say so by itself."""
_LIGHT = 0.5
_AT_ONCE = 1_000_000
"""Pixels."""


def decode_image(content: bytes, input_shape: tuple[int, int, int], invert: Invert = "false") -> Floats:
    """One PNG or JPEG as float32 [1, C, H, W] in 0..1, converted to the input's channels and scaled to its size.

    It is turned upright as its EXIF orientation says. What is transparent becomes black. One channel: luminance. The
    first picture of an animation counts. 16-bit grey keeps its precision. Raises `UnreadableInput`.

    Values are inverted if `invert` says so: MNIST is light on dark, ink on paper is not. `auto` inverts what has a light
    edge.
    """
    channels, height, width = input_shape
    try:
        with _open_image(content) as image:
            image.draft(
                None, (2 * max(height, width),) * 2
            )  # a JPEG need not be decoded in a size that nobody looks at
            pixels = _converted(image, content, channels)
            turn = _UPRIGHT.get(_orientation(image))
            upright = pixels if turn is None else pixels.transpose(turn)
            scaled = upright.resize((width, height), Image.Resampling.BILINEAR)
    except UnreadableInput:
        raise
    except Exception as error:  # Pillow's decoders raise more types than they document; all mean the same here
        raise UnreadableInput("the image is truncated or damaged; it must be a PNG or a JPEG") from error
    values = np.asarray(scaled, np.float32) / np.float32(65535 if scaled.mode == "F" else 255)
    inputs = values.reshape(1, height, width, channels).transpose(0, 3, 1, 2).clip(0, 1)
    return 1 - inputs if invert == "true" or (invert == "auto" and _has_light_edge(inputs)) else inputs.copy()


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
    """A picture whose EXIF cannot be read is taken as it is stored, as viewers do."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001  Pillow raises here, too, whatever comes up
        return 1


def _converted(image: Image.Image, content: bytes, channels: int) -> Image.Image:
    """In the channels of the model, without transparency; strip by strip, as Pillow lets nobody else run meanwhile."""
    image.load()
    whole = Image.new("RGB" if channels > 1 else "F" if image.mode.startswith("I") else "L", image.size)
    height = max(_AT_ONCE // image.width, 1)
    for top in range(0, image.height, height):
        strip = image.crop((0, top, image.width, min(top + height, image.height)))
        whole.paste(_in_channels(_on_black(strip, content), channels), (0, top))
    return whole


def _on_black(image: Image.Image, content: bytes) -> Image.Image:
    """Without transparency: black shows through."""
    clear = image.info.get("transparency")
    if image.mode in {"LA", "PA", "RGBA"} or (image.mode == "P" and clear is not None):
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image.convert("RGBA"))
    if clear is None or not content.startswith(_PNG_BEGIN):
        return image
    # One grey or colour of the file is transparent. Pillow scales the pixels to 8 bits, but not this value.
    pixels = np.array(image.convert("L") if image.mode == "1" else image)
    depth = content[_PNG_DEPTH]
    value = np.asarray(clear) * _STEP.get(depth, 1)
    if depth == _DEEP and not image.mode.startswith("I"):
        value >>= 8
    channels = pixels.reshape(image.height, image.width, -1)
    channels[(channels == value).all(axis=-1)] = 0
    return Image.fromarray(pixels)


def _in_channels(image: Image.Image, channels: int) -> Image.Image:
    """To mode L or RGB, 8 bits; 16-bit grey for one channel to mode F, 0 to 65535."""
    if image.mode.startswith("I"):
        grey = image.convert("I").convert("F")
        return grey if channels == 1 else Image.merge("RGB", [grey.point(lambda value: value / 257).convert("L")] * 3)
    return image.convert("L" if channels == 1 else "RGB")


def _has_light_edge(inputs: Floats) -> bool:
    """Whether the pixels at the edge [1, C, H, W], of which ink has few, are light in the median."""
    edge = np.ones(inputs.shape, bool)
    edge[..., 1:-1, 1:-1] = False
    return bool(np.median(inputs[edge]) > _LIGHT)
