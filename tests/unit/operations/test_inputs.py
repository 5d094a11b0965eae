from __future__ import annotations

import io
import json
import math
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from app.contract.predicting import PredictRequest
from app.errors import InvalidInput, InvalidShape, InvalidValue, UnreadableInput, UnsupportedMediaType
from app.prediction import inputs, pictures
from app.prediction.answers import Options
from app.prediction.inputs import decode, decode_json, decode_npy
from app.prediction.pictures import decode_image

GREY = (1, 4, 3)
COLOUR = (3, 4, 3)
SHAPES = [GREY, COLOUR]
MARK = "8417.25"
"""A value that is refused; no error may repeat it."""

Floats = npt.NDArray[np.float32]


def npy(array: npt.NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def picture(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey(seed: int = 0, size: tuple[int, int] = (4, 3)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8))


def rows(count: int, shape: tuple[int, ...] = GREY) -> Floats:
    return np.random.default_rng(0).random((count, *shape), np.float32)


# --- JSON ----------------------------------------------------------------------------------------


@given(st.sampled_from(SHAPES), st.integers(1, 5), st.data())
def test_nested_and_flat_lists_are_the_same_inputs(
    shape: tuple[int, int, int], count: int, data: st.DataObject
) -> None:
    array = rows(count, shape)
    forms: list[Callable[[Floats], Any]] = [lambda row: row.ravel().tolist(), lambda row: row.tolist()]
    if shape[0] == 1:
        forms.append(lambda row: row[0].tolist())
    body = {"inputs": [data.draw(st.sampled_from(forms))(row) for row in array]}
    decoded, options = decode_json(json.dumps(body).encode(), shape)
    np.testing.assert_array_equal(decoded, array)
    assert decoded.dtype == np.float32
    assert options == Options()


def test_options_come_from_the_body_and_whole_numbers_count_as_numbers() -> None:
    body = {"inputs": [[0, 1] * 6], "task": 3, "on_forgotten": "token", "probabilities": True}
    decoded, options = decode_json(json.dumps(body).encode(), GREY)
    assert options == Options(3, "token", probabilities=True)
    assert decoded.sum() == 6


LONG = (1, 28, 28)
TAIL = '], "on_forgotten": "token"}'


def large(rows: Sequence[Any], begin: str = '{"inputs": [', end: str = TAIL) -> bytes:
    return (begin + ", ".join(json.dumps(row) for row in rows) + end).encode()


def test_a_large_body_is_read_as_a_small_one_is() -> None:
    expected = np.random.default_rng(0).random((90, *LONG)).astype(np.float32)
    flat, nested = expected.reshape(90, -1).tolist(), expected[:, 0].tolist()
    for rows_ in (flat, nested, expected.tolist(), flat[:30] + nested[30:]):
        content = large(rows_)
        assert len(content) > inputs._FRAME
        decoded, options = decode_json(content, LONG)
        np.testing.assert_array_equal(decoded[: len(rows_)], expected)
        assert options == Options(on_forgotten="token")
    decoded, options = decode_json(large(flat, '{"task": 3, "inputs" : \n[', "]}"), LONG)
    assert (len(decoded), options) == (90, Options(3))


@pytest.mark.parametrize(
    ("content", "kind", "pointer"),
    [
        (large([[0.5] * 784] * 90 + [[0.5] * 783]), InvalidShape, "/inputs/90"),
        (large([[0.5] * 784] * 90 + [[0.5] * 100_000]), InvalidShape, "/inputs/90"),
        (large([[0.5] * 784] * 90 + [[2] * 784]), InvalidValue, "/inputs/90"),
        (large([[0.5] * 784] * 90 + ["8417.25"]), InvalidShape, "/inputs/90"),
        (large([[0.5] * 784] * 90 + [[[["8417.25"]]]]), InvalidValue, "/inputs/90"),
        (large([[0.5] * 784] * 90, end='], "task": -1}'), InvalidInput, "/task"),
        (large([[0.5] * 784] * 90, end='], "no_such": 1}'), InvalidInput, ""),
        (large([[0.5] * 784] * 90, end="]" + " " * 100_000 + "}"), InvalidInput, ""),
        (large([[0.5] * 784] * 90, end="]"), UnreadableInput, None),
        (large([[0.5] * 784] * 90, end=","), UnreadableInput, None),
        (large([[0.5] * 784] * 90, '{"task": {"inputs": [', "]}}"), InvalidInput, "/task"),
        (large([[0]] * 10_001 + ["x" * 100_000]), InvalidInput, "/inputs"),
        (b'{"on_forgotten": "' + b"8" * 100_000 + b'"}', InvalidInput, ""),
    ],
)
def test_of_a_large_body_what_is_wrong_is_pointed_at(
    content: bytes, kind: type[InvalidInput], pointer: str | None
) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_json(content, LONG)
    assert isinstance(caught.value, kind)
    assert [fault.pointer for fault in caught.value.errors] == ([pointer] if pointer is not None else [])


def test_a_row_of_any_length_takes_no_more_memory_than_one_that_fits() -> None:
    content = b'{"inputs": [[' + b"0," * 5_000_000 + b"0]]}"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidShape):
            decode_json(content, LONG)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_null_means_left_out() -> None:
    body = {"inputs": [[0, 1] * 6], "task": None, "on_forgotten": None, "probabilities": None}
    assert decode_json(json.dumps(body).encode(), GREY)[1] == Options()


def test_the_published_example_can_be_sent_to_a_model_of_mnist() -> None:
    for example in PredictRequest.model_json_schema()["examples"]:
        assert decode_json(json.dumps(example).encode(), (1, 28, 28))[0].shape == (1, 1, 28, 28)


def test_the_body_has_the_fields_and_defaults_of_the_published_schema() -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(inputs._Body) if field.name != "inputs"}
    published = {name: field.default for name, field in PredictRequest.model_fields.items() if name != "inputs"}
    assert defaults == published


@pytest.mark.parametrize(
    ("body", "kind", "pointer"),
    [
        ("", UnreadableInput, None),
        ("{", UnreadableInput, None),
        ('{"inputs": [[NaN]]}', UnreadableInput, None),
        ('{"inputs": [[Infinity]]}', UnreadableInput, None),
        ('{"inputs": ' + "[" * 100_000, UnreadableInput, None),
        ('{"inputs": [[0]], "inputs": [[8417.25]]}', UnreadableInput, None),
        ("[]", InvalidInput, ""),
        ("{}", InvalidInput, ""),
        ('{"inputs": [], "8417.25": 1}', InvalidInput, ""),
        ('{"inputs": "8417.25"}', InvalidInput, "/inputs"),
        ('{"inputs": []}', InvalidInput, "/inputs"),
        ('{"inputs": [0], "task": -1}', InvalidInput, "/task"),
        ('{"inputs": [0], "task": 8417.25}', InvalidInput, "/task"),
        ('{"inputs": [0], "on_forgotten": "8417.25"}', InvalidInput, "/on_forgotten"),
        ('{"inputs": [0], "probabilities": 1}', InvalidInput, "/probabilities"),
        ('{"inputs": [0]}', InvalidShape, "/inputs/0"),
        ('{"inputs": [{"a": 1}]}', InvalidShape, "/inputs/0"),
        ('{"inputs": [[[[[0]]]]]}', InvalidShape, "/inputs/0"),
        ('{"inputs": [[]]}', InvalidShape, "/inputs/0"),
        ('{"inputs": [[[]]]}', InvalidShape, "/inputs/0"),
        ('{"inputs": [[0, 0, 0]]}', InvalidShape, "/inputs/0"),
        ('{"inputs": [[0, [0]]]}', InvalidValue, "/inputs/0"),
        ('{"inputs": [[[0, 0], [0]]]}', InvalidValue, "/inputs/0"),
        ('{"inputs": [[null]]}', InvalidValue, "/inputs/0"),
        ('{"inputs": [[true]]}', InvalidValue, "/inputs/0"),
        ('{"inputs": [["8417.25"]]}', InvalidValue, "/inputs/0"),
        ('{"inputs": [[1e999]]}', InvalidValue, "/inputs/0"),
        ('{"inputs": [[' + "9" * 5000 + "]]}", InvalidValue, "/inputs/0"),
        ('{"inputs": [[0,0,0,0,0,0,0,0,0,0,0,1], [0,0,0,0,0,0,0,0,0,0,0,8417.25]]}', InvalidValue, "/inputs/1"),
        ('{"inputs": [[0,0,0,0,0,0,0,0,0,0,0,-1e-9]]}', InvalidValue, "/inputs/0"),
        ('{"inputs": [[0,0,0,0,0,0,0,0,0,0,0,1.0000000001]]}', InvalidValue, "/inputs/0"),
    ],
)
def test_a_wrong_body_is_refused_with_a_pointer_and_never_echoed(
    body: str, kind: type[InvalidInput], pointer: str | None
) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_json(body.encode(), GREY)
    assert type(caught.value) is kind
    assert [fault.pointer for fault in caught.value.errors] == ([] if pointer is None else [pointer])
    assert MARK not in caught.value.detail + str(caught.value.errors)


@pytest.mark.parametrize("count", [10_001, 100_000])
def test_too_many_rows_are_refused_before_they_are_decoded(count: int) -> None:
    with pytest.raises(InvalidInput, match="10,000"):
        decode_json(b'{"inputs": [' + b",".join([b"[]"] * count) + b"]}", GREY)
    with pytest.raises(InvalidShape, match="10,000"):
        decode_npy(npy(np.zeros((count, 12), np.uint8)), GREY)


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["inputs", "task", "x"]), inner),
        max_leaves=30,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_json_is_decoded_or_refused(body: bytes) -> None:
    for shape in SHAPES:
        accepts_or_refuses(rows_of_json, body, shape)
        accepts_or_refuses(rows_of_json, b'{"inputs": ' + body + b"}", shape)
        accepts_or_refuses(rows_of_json, b'{"inputs": [' + body + b"]}", shape)


def rows_of_json(body: bytes, shape: tuple[int, int, int]) -> Floats:
    return decode_json(body, shape)[0]


def accepts_or_refuses(
    decoder: Callable[[bytes, tuple[int, int, int]], Floats], content: bytes, shape: tuple[int, int, int]
) -> None:
    """The law of every decoder: inputs as the model wants them, or an error of the tree."""
    try:
        decoded = decoder(content, shape)
    except InvalidInput:
        return
    assert decoded.dtype == np.float32
    assert decoded.shape[1:] == shape
    assert decoded.flags.c_contiguous
    assert ((decoded >= 0) & (decoded <= 1)).all()


# --- npy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_arrays_are_read_as_numpy_wrote_them(
    version: tuple[int, int], order: Any, shape: tuple[int, int, int], dtype: type[np.generic]
) -> None:
    expected = (rows(5, shape) * 255).astype(np.uint8).astype(np.float32) / np.float32(255)
    stored = np.round(expected * 255).astype(np.uint8) if dtype is np.uint8 else expected
    forms = [stored, stored.reshape(5, -1)] + ([stored[:, 0]] if shape[0] == 1 else [])
    for form in forms:
        decoded = decode_npy(npy(np.asarray(form, order=order), version=version), shape)
        np.testing.assert_array_equal(decoded, expected)
        assert decoded.flags.c_contiguous
        one = decode_npy(npy(np.asarray(form[0], order=order), version=version), shape)
        np.testing.assert_array_equal(one, expected[:1])


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.zeros((2, 12), np.float16), InvalidInput),
        (np.full((2, 12), 1 + 1e-12, np.float64), InvalidValue),
        (np.zeros((2, 12), ">f4"), InvalidInput),
        (np.zeros((2, 12), np.int64), InvalidInput),
        (np.zeros((2, 12), np.bool_), InvalidInput),
        (np.zeros((2, 12), "S4"), InvalidInput),
        (np.zeros(2, [("a", "<f4")]), InvalidInput),
        (np.array([{"a": 1}], object), InvalidInput),
        (np.zeros((0, 12), np.float32), InvalidShape),
        (np.zeros((2, 11), np.float32), InvalidShape),
        (np.zeros((), np.float32), InvalidShape),
        (np.zeros((1, 1, 1, 4, 3), np.float32), InvalidShape),
        (np.zeros((2, 4, 3, 1), np.float32), InvalidShape),
        (np.full((2, 12), np.nan, np.float32), InvalidValue),
        (np.full((2, 12), np.inf, np.float32), InvalidValue),
        (np.full((2, 12), -np.inf, np.float32), InvalidValue),
        (np.full((2, 12), 1.5, np.float32), InvalidValue),
    ],
)
def test_an_array_that_does_not_fit_is_refused(array: npt.NDArray[Any], kind: type[InvalidInput]) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_npy(npy(array), GREY)
    assert isinstance(caught.value, kind)


def test_numpys_own_floats_are_taken() -> None:
    array = rows(3).astype(np.float64)
    np.testing.assert_array_equal(decode_npy(npy(array), GREY), array.astype(np.float32))
    np.testing.assert_array_equal(decode_npy(npy(np.asfortranarray(array)), GREY), array.astype(np.float32))


def test_a_pickle_in_an_array_is_never_run() -> None:
    class Armed:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("the pickle was run",)

    with pytest.raises(InvalidInput, match="pickled objects are refused"):
        decode_npy(npy(np.array([Armed()], object)), GREY)


def test_the_first_row_outside_the_range_is_named() -> None:
    array = rows(9)
    array[4, 0, 1, 1] = np.nan
    array[7, 0, 1, 1] = 2
    with pytest.raises(InvalidValue, match="input 4 "):
        decode_npy(npy(array), GREY)


@pytest.mark.parametrize("cut", [-1, 1])
def test_data_shorter_or_longer_than_the_header_says_is_refused(cut: int) -> None:
    content = npy(rows(3))
    with pytest.raises(UnreadableInput):
        decode_npy(content[:-1] if cut < 0 else content + b"\0", GREY)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 4000 + ",)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999999, 999999999, 999999999)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1" + "0" * 20 + ", 12)}",
        "{'descr': '<f4', 'fortran_order': False}",
        "__import__('os').abort()",
        "(" * 4000,
        " " * 5000,
    ],
)
def test_a_lying_header_costs_nothing(header: str) -> None:
    content = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header.encode() + bytes(48)
    with pytest.raises(InvalidInput):
        decode_npy(content, GREY)


def test_the_keys_of_a_header_may_come_in_any_order() -> None:
    header = "{'shape': (1, 12), 'fortran_order': False, 'descr': '<f4', }\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(48)
    assert decode_npy(content, GREY).shape == (1, *GREY)


@given(hnp.arrays(st.sampled_from(["<f4", "|u1", "<f8"]), hnp.array_shapes(max_side=4)), st.data())
def test_any_array_however_damaged_is_decoded_or_refused(array: npt.NDArray[Any], data: st.DataObject) -> None:
    content = damaged(npy(array), data)
    for shape in SHAPES:
        accepts_or_refuses(decode_npy, content, shape)


def damaged(content: bytes, data: st.DataObject) -> bytes:
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(0, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    return bytes(changed[: data.draw(st.integers(0, len(changed)) | st.just(len(changed)))])


# --- images --------------------------------------------------------------------------------------


def test_a_picture_of_the_right_size_is_its_pixels() -> None:
    image = grey()
    expected = np.asarray(image, np.float32) / np.float32(255)
    np.testing.assert_array_equal(decode_image(picture(image), GREY)[0, 0], expected)
    np.testing.assert_array_equal(decode_image(picture(image), COLOUR)[0, 2], expected)


def test_colour_goes_to_channels_in_order_and_to_luminance() -> None:
    image = Image.new("RGB", (3, 4), (255, 0, 51))
    assert decode_image(picture(image), COLOUR)[0, :, 0, 0].tolist() == pytest.approx([1, 0, 0.2])
    assert decode_image(picture(image), GREY)[0, 0, 0, 0] == pytest.approx(0.299 + 0.2 * 0.114, abs=0.01)


def test_16_bit_grey_keeps_its_precision() -> None:
    image = Image.fromarray(np.full((4, 3), 300, np.uint16))
    assert decode_image(picture(image), GREY)[0, 0, 0, 0] == pytest.approx(300 / 65535)
    assert decode_image(picture(image), COLOUR)[0, 0, 0, 0] == pytest.approx(1 / 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_becomes_black(mode: str) -> None:
    image = Image.new("RGBA", (3, 4), (255, 255, 255, 0))
    image.putpixel((0, 0), (255, 255, 255, 255))
    decoded = decode_image(picture(image.convert(mode) if mode != "PA" else image.quantize()), GREY)
    assert decoded[0, 0, 0, 0] == 1
    assert decoded.sum() == 1


def png(width: int, height: int, depth: int, colour: int, scanlines: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = b"".join(b"\0" + scanlines for _ in range(height))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


@pytest.mark.parametrize(
    ("depth", "colour", "scanline", "clear"),
    [
        (1, 0, bytes([0b10100000]), 1),
        (2, 0, bytes([0b01110100]), 1),
        (4, 0, bytes([0x5F, 0x50]), 5),
        (8, 0, bytes([200, 255, 200]), 200),
        (16, 0, struct.pack(">HHH", 40_000, 65_535, 40_000), 40_000),
        (8, 2, bytes([9, 200, 9, 255, 255, 255, 9, 200, 9]), (9, 200, 9)),
        (16, 2, struct.pack(">9H", 9, 51_201, 9, 65_535, 65_535, 65_535, 9, 51_201, 9), (9, 51_201, 9)),
    ],
)
def test_the_transparent_value_of_a_picture_of_any_depth_becomes_black(
    depth: int, colour: int, scanline: bytes, clear: int | tuple[int, ...]
) -> None:
    values = clear if isinstance(clear, tuple) else (clear,)
    content = png(3, 4, depth, colour, scanline, (b"tRNS", struct.pack(f">{len(values)}H", *values)))
    for shape in SHAPES:
        decoded = decode_image(content, shape)
        assert decoded[..., 0].max() == decoded[..., 2].max() == 0
        assert decoded[..., 1].max() == (0 if depth == 1 else 1)


TURNED: dict[int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]] = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda pixels: np.rot90(pixels, 2).T,
    8: lambda pixels: np.rot90(pixels, -1),
}
"""How a camera stores an upright picture, by the EXIF orientation that it notes (JEITA CP-3451)."""


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "16-bit PNG"])
def test_a_picture_is_seen_upright_as_its_exif_orientation_says(kind: str, orientation: int) -> None:
    upright = np.zeros((32, 24), np.uint8)
    upright[:16, :8] = 255
    upright[24:, 16:] = 128
    stored = np.ascontiguousarray(TURNED[orientation](upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(stored.astype(np.uint16) * 257 if kind == "16-bit PNG" else stored)
    options = {"quality": 100} if kind == "JPEG" else {}
    content = picture(image, kind.removeprefix("16-bit "), exif=exif, **options)
    assert np.abs(decode_image(content, (1, 32, 24))[0, 0] - upright / 255).max() < 0.02


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12", b"Exif\0\0" + b"\xff" * 40]
)
def test_an_exif_that_cannot_be_read_changes_nothing(exif: bytes) -> None:
    image = grey()
    np.testing.assert_array_equal(decode_image(picture(image, exif=exif), GREY), decode_image(picture(image), GREY))


def test_dark_on_light_is_inverted_where_it_is_asked_for() -> None:
    ink = np.full((28, 28), 230, np.uint8)
    ink[6:22, 12:16] = 20
    paper, digit = picture(Image.fromarray(ink)), picture(Image.fromarray(255 - ink))
    shape = (1, 28, 28)
    as_digit = decode_image(digit, shape)
    np.testing.assert_allclose(decode_image(paper, shape, "true"), as_digit, atol=1e-6)
    np.testing.assert_allclose(decode_image(paper, shape, "auto"), as_digit, atol=1e-6)
    np.testing.assert_array_equal(decode_image(digit, shape, "auto"), as_digit)
    assert decode_image(paper, shape)[0, 0, 0, 0] == pytest.approx(230 / 255)


def drawn(mode: str, stroke: int, ground: int, opacity: int) -> bytes:
    """A PNG of a stroke on a ground of this opacity."""
    image = Image.new("LA", (28, 28), (ground, opacity))
    image.paste((stroke, 255), (12, 6, 16, 22))
    return picture(image.convert("RGBA").quantize(8) if mode == "P" else image.convert(mode))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("hidden", [0, 255])
def test_dark_ink_on_a_transparent_ground_becomes_light_on_black(
    mode: str, hidden: int, shape: tuple[int, int, int]
) -> None:
    """`hidden` is the colour that nobody sees below the transparency."""
    ink, digit = drawn(mode, 20, hidden, 0), drawn(mode, 235, hidden, 0)
    as_digit = decode_image(digit, shape)
    assert as_digit[0, 0, 0, 0] == 0
    assert as_digit[0, 0, 14, 14] == pytest.approx(235 / 255, abs=0.01)
    np.testing.assert_allclose(decode_image(ink, shape, "true"), as_digit, atol=0.01)
    np.testing.assert_allclose(decode_image(ink, shape, "auto"), as_digit, atol=0.01)
    np.testing.assert_array_equal(decode_image(digit, shape, "auto"), as_digit)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_paper_that_is_transparent_somewhere_is_judged_by_what_is_opaque(mode: str) -> None:
    shape = (1, 28, 28)
    corner = Image.new("LA", (10, 10), (0, 0))
    papers = []
    for stroke, ground in ((20, 230), (235, 25)):
        image = Image.open(io.BytesIO(drawn("LA", stroke, ground, 255)))
        image.paste(corner, (0, 0))
        papers.append(picture(image.convert(mode)))
    on_light, on_dark = (decode_image(paper, shape, "auto") for paper in papers)
    assert on_light[0, 0, 0, 0] == on_dark[0, 0, 0, 0] == 0
    np.testing.assert_allclose(on_light, on_dark, atol=0.01)


def test_a_transparent_grey_of_16_bits_is_inverted_to_black() -> None:
    scanline = struct.pack(">3H", 7, 51_201, 7)
    content = png(3, 4, 16, 0, scanline, (b"tRNS", struct.pack(">H", 7)))
    for shape in SHAPES:
        decoded = decode_image(content, shape, "true")
        assert decoded[..., 0].max() == decoded[..., 2].max() == 0
        assert decoded[..., 1].max() == pytest.approx(1 - 51_201 / 65_535, abs=0.01)


def test_nothing_is_black_whatever_is_inverted() -> None:
    for invert in ("false", "true", "auto"):
        assert decode_image(picture(Image.new("LA", (28, 28), (0, 0))), (1, 28, 28), invert).max() == 0


@pytest.mark.parametrize("mode", ["RGBA", "P", "I;16", "L"])
def test_a_picture_converted_strip_by_strip_is_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = grey(size=(50, 40))
    content = picture(image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode))
    at_once = [decode_image(content, shape) for shape in SHAPES]
    monkeypatch.setattr(pictures, "_AT_ONCE", 120)
    for whole, shape in zip(at_once, SHAPES, strict=True):
        np.testing.assert_array_equal(decode_image(content, shape), whole)


def test_only_images_are_inverted() -> None:
    for media_type, content in (("application/x-npy", npy(rows(1))), ("application/json", b'{"inputs": []}')):
        with pytest.raises(InvalidInput, match="invert is for images"):
            decode(media_type, content, Options(invert="auto"), GREY)


def test_palettes_single_bits_and_cmyk_are_read_as_what_they_show() -> None:
    white = Image.new("RGB", (3, 4), "white")
    for content in (
        picture(white.convert("P")),
        picture(white.convert("1")),
        picture(white, "JPEG"),
        picture(white.convert("CMYK"), "JPEG"),
        picture(white, "JPEG", progressive=True),
    ):
        assert decode_image(content, COLOUR).min() == pytest.approx(1, abs=0.01)


def test_of_an_animation_the_first_picture_counts() -> None:
    first, second = grey(1), grey(2)
    content = picture(first, save_all=True, append_images=[second])
    np.testing.assert_array_equal(decode_image(content, GREY), decode_image(picture(first), GREY))


def test_a_large_picture_is_scaled_to_the_inputs_size() -> None:
    decoded = decode_image(picture(Image.new("L", (500, 300), 128)), GREY)
    assert decoded.shape == (1, *GREY)
    assert decoded == pytest.approx(128 / 255)


def png_with_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, and holds a few compressed zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(5001, 5000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadableInput, match="pixels"):
        decode_image(png_with_header(*size), GREY)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(UnreadableInput, match="neither a PNG nor a JPEG"):
        decode_image(picture(grey(), kind), GREY)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_picture_is_refused_unless_all_its_pixels_are_there(kind: str) -> None:
    content = picture(grey(size=(40, 40)), kind)
    whole = decode_image(content, GREY)
    for length in range(len(content)):
        try:
            np.testing.assert_array_equal(decode_image(content[:length], GREY), whole)
        except UnreadableInput:
            continue
        assert length > len(content) - 24  # checksum of the last data, and the end chunk


@given(st.sampled_from(["PNG", "JPEG"]), st.sampled_from(["L", "P", "RGB", "RGBA", "1", "I;16"]), st.data())
def test_any_picture_however_damaged_is_decoded_or_refused(kind: str, mode: str, data: st.DataObject) -> None:
    image = grey(size=(9, 8)).convert("RGB")
    if kind == "PNG":
        image = image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    content = damaged(picture(image, kind), data)
    for shape in SHAPES:
        accepts_or_refuses(decode_image, content, shape)


# --- by media type -------------------------------------------------------------------------------


def test_the_media_type_decides_and_options_belong_to_one_place() -> None:
    token = Options(on_forgotten="token")
    assert decode("image/png", picture(grey()), token, GREY)[1] == token
    assert decode("application/x-npy", npy(rows(2)), token, GREY)[1] == token
    body = json.dumps({"inputs": [[0.5] * math.prod(GREY)]}).encode()
    assert decode("application/json", body, Options(), GREY)[1] == Options()
    with pytest.raises(InvalidInput, match="leave them out of the query"):
        decode("application/json", body, token, GREY)
    with pytest.raises(UnsupportedMediaType, match="Content-Type"):
        decode("text/plain", body, Options(), GREY)
