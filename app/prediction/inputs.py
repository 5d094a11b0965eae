"""From a request body to float32 [N, C, H, W] in 0..1. Bodies come from anywhere: all is bounded and checked first."""

from __future__ import annotations

import math
import re
from typing import Any, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt

from app.contract.predicting import OnForgotten
from app.errors import FieldError, InvalidInput, InvalidShape, InvalidValue, UnreadableInput, UnsupportedMediaType
from app.prediction.answers import Options
from app.prediction.pictures import decode_image

LARGEST_ROWS = 10_000
JSON_TYPE = "application/json"
NPY_TYPE = "application/x-npy"
IMAGE_TYPES = ("image/png", "image/jpeg")
ALIASES = {"image/jpg": "image/jpeg"}
"""Media types that are not registered, and the registered ones that they stand for."""
MEDIA_TYPES = (JSON_TYPE, *IMAGE_TYPES, NPY_TYPE)

Shape = tuple[int, int, int]
"""Channels, height, width."""
Floats = npt.NDArray[np.float32]


def decode(media_type: str, content: bytes, options: Options, input_shape: Shape) -> tuple[Floats, Options]:
    """Inputs float32 [N, C, H, W] in 0..1 and the options that go with them: of the body if it is JSON.

    Raises `UnreadableInput`, `InvalidShape`, `InvalidValue`, `InvalidInput`, `UnsupportedMediaType`.
    """
    if media_type in IMAGE_TYPES:
        return decode_image(content, input_shape, options.invert), options
    if options.invert != "false":
        raise InvalidInput("invert is for images; send arrays and lists with light on dark as it is in the data set")
    if media_type == NPY_TYPE:
        return decode_npy(content, input_shape), options
    if media_type != JSON_TYPE:
        raise UnsupportedMediaType(f"name one of {', '.join(MEDIA_TYPES)} in the Content-Type header")
    if options != Options():
        raise InvalidInput(
            "a JSON body carries task, on_forgotten and probabilities itself; leave them out of the query"
        )
    return decode_json(content, input_shape)


# --- JSON ----------------------------------------------------------------------------------------


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """A `PredictRequest` whose rows stay text until it is known that they are not too many."""

    inputs: list[msgspec.Raw]
    task: int | None = None
    on_forgotten: OnForgotten | None = "zero"
    probabilities: bool | None = False


_FIELD_FAULTS = {
    "": "the body must be an object of inputs, task, on_forgotten and probabilities, of which only inputs must be there",
    "/inputs": f"must be a list of 1 to {LARGEST_ROWS:,} inputs",
    "/task": "must be the index of a task, from 0, or null",
    "/on_forgotten": 'must be "zero", "token", "probabilities" or "next_best"',
    "/probabilities": "must be true or false",
}
_FAULTY_FIELD = re.compile(r"at `\$\.(inputs|task|on_forgotten|probabilities)\b")
_body_decoder = msgspec.json.Decoder(_Body)
_row_decoders: list[msgspec.json.Decoder[Any]] = [
    msgspec.json.Decoder(list[float]),
    msgspec.json.Decoder(list[list[float]]),
    msgspec.json.Decoder(list[list[list[float]]]),
]
_NESTING = re.compile(rb"[\s\[]*")
_FRAME = 1 << 16
"""The most bytes that a body may have beside its rows, and that are decoded at once: a decoder lets nobody else run."""
_TASKS_END = 2**31
_CHARACTERS = 64
"""The most characters of a number, with the blanks around it."""
_INPUTS = re.compile(rb'"inputs"\s*:\s*\[')
_NAMES = re.compile(rb'"(inputs|task|on_forgotten|probabilities)"\s*:')
_FLAT = rb"\[[^\[\]]*+\]"
_NESTED = rb"\[\s*(?:" + _FLAT + rb"\s*,?\s*)*+\]"
_TWICE_NESTED = rb"\[\s*(?:" + _NESTED + rb"\s*,?\s*)*+\]"
_ROW = re.compile(rb"\s*(" + rb"|".join((_FLAT, _NESTED, _TWICE_NESTED)) + rb")\s*([,\]])")


def decode_json(content: bytes, input_shape: Shape) -> tuple[Floats, Options]:
    """Inputs float32 [N, C, H, W] and options of a `PredictRequest`.

    A row is a flat list of C x H x W numbers or a nested one of C x H x W, or of H x W if there is one channel.
    Raises `UnreadableInput`, `InvalidInput`, `InvalidShape`, `InvalidValue`; their errors point to the row.
    """
    frame, texts = _cut_out_rows(content, input_shape) if len(content) > _FRAME else (content, None)
    names = _NAMES.findall(frame)
    if len(set(names)) < len(names):
        raise UnreadableInput("the body gives a name twice; give each once")
    try:
        body = _body_decoder.decode(frame)
    except msgspec.ValidationError as error:  # its message may repeat what was sent, so it is not passed on
        field = _FAULTY_FIELD.search(str(error))
        _refuse_field(f"/{field[1]}" if field else "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableInput("the body is not valid JSON (NaN and Infinity are not JSON either)") from error
    if not 1 <= len(body.inputs) <= LARGEST_ROWS:
        _refuse_field("/inputs")
    if body.task is not None and not 0 <= body.task < _TASKS_END:
        _refuse_field("/task")
    rows = np.empty((len(body.inputs), *input_shape), np.float32)
    for index, row in enumerate(texts or body.inputs):
        rows[index] = _decode_row(bytes(row), index, input_shape)
    return rows, Options(body.task, body.on_forgotten or "zero", body.probabilities or False)


def _cut_out_rows(content: bytes, input_shape: Shape) -> tuple[bytes, list[bytes]]:
    """A large body with a 0 for every row, and the rows: each is looked at alone, up to the length that it may have."""
    begin = _INPUTS.search(content, 0, _FRAME)
    if begin is None:
        _refuse_field("")
    longest = (math.prod(input_shape) + 1) * _CHARACTERS
    texts: list[bytes] = []
    position, following = begin.end(), b","
    while following == b",":
        row = _ROW.match(content, position, position + longest)
        if row is None and _NESTING.fullmatch(content, position, position + longest):
            raise UnreadableInput("the body is not valid JSON: it is truncated or nested too deeply")
        if row is None:
            _refuse_row_shape(len(texts), input_shape)
        if len(texts) == LARGEST_ROWS:
            _refuse_field("/inputs")
        texts.append(row[1])
        position, following = row.end(), row[2]
    if len(content) - position > _FRAME:
        _refuse_field("")
    return content[: begin.end()] + b"0," * (len(texts) - 1) + b"0]" + content[position:], texts


def _refuse_field(pointer: str) -> NoReturn:
    detail = _FIELD_FAULTS[pointer]
    raise InvalidInput(f"{pointer.lstrip('/')} {detail}".strip(), errors=[FieldError(pointer, detail)])


def _decode_row(text: bytes, index: int, input_shape: Shape) -> npt.NDArray[np.float64]:
    depth = _NESTING.match(text)[0].count(b"[")  # type: ignore[index]  # matches always
    if not 1 <= depth <= len(_row_decoders):
        _refuse_row_shape(index, input_shape)
    try:
        row = np.array(_row_decoders[depth - 1].decode(text), np.float64)
    except (msgspec.MsgspecError, ValueError) as error:  # a list among numbers, rows of unequal length, 1e999
        detail = f"must hold numbers in 0..1 and nothing else, {_shapes(input_shape)}"
        raise InvalidValue(f"input {index} {detail}", errors=[FieldError(f"/inputs/{index}", detail)]) from error
    if row.shape not in _item_shapes(input_shape):
        _refuse_row_shape(index, input_shape)
    _refuse_outside(row[None], index)
    return row.reshape(input_shape)


def _refuse_row_shape(index: int, input_shape: Shape) -> NoReturn:
    detail = f"must be {_shapes(input_shape)}"
    raise InvalidShape(f"input {index} {detail}", errors=[FieldError(f"/inputs/{index}", detail)])


# --- shapes and values ---------------------------------------------------------------------------


def _item_shapes(input_shape: Shape) -> list[tuple[int, ...]]:
    """The shapes in which one input may come."""
    channels, height, width = input_shape
    shapes: list[tuple[int, ...]] = [(math.prod(input_shape),), input_shape]
    return [*shapes, (height, width)] if channels == 1 else shapes


def _shapes(input_shape: Shape) -> str:
    described = [" x ".join(map(str, shape)) for shape in _item_shapes(input_shape)]
    return f"{described[0]} numbers, flat or nested as {' or '.join(described[1:])}"


def _refuse_outside(rows: npt.NDArray[np.floating[Any]], first_index: int = 0) -> None:
    """Raise `InvalidValue`, naming the first row [N, …] with a value outside 0..1, NaN or infinity."""
    if rows.min() >= 0 and rows.max() <= 1:  # false for NaN, which both pass on
        return
    inside = (rows >= 0) & (rows <= 1)
    index = first_index + int(inside.reshape(len(rows), -1).all(axis=1).argmin())
    detail = "holds a value outside 0..1, NaN or infinity; scale inputs to 0..1 (of digits 0 is the dark background)"
    raise InvalidValue(f"input {index} {detail}", errors=[FieldError(f"/inputs/{index}", detail)])


# --- npy -----------------------------------------------------------------------------------------

_NPY_MAGIC = b"\x93NUMPY"
_NPY_VERSION_END = 8
_NPY_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}
_LARGEST_NPY_HEADER = 4096
# numpy evaluates the header as a Python literal; three patterns for the three known keys need no evaluation.
_NPY_HEADER = re.compile(r"\{[^{}]*\}\s*")
_NPY_DTYPE = re.compile(r"'descr':\s*'([<>|=][a-zA-Z]\d{1,4})'")
_NPY_ORDER = re.compile(r"'fortran_order':\s*(True|False)")
_NPY_SHAPE = re.compile(r"'shape':\s*\(((?:\d{1,9},\s*){0,8}(?:\d{1,9})?)\)")
_NPY_DTYPES: dict[str, type[np.generic]] = {"<f8": np.float64, "<f4": np.float32, "|u1": np.uint8}


def decode_npy(content: bytes, input_shape: Shape) -> Floats:
    """Inputs float32 [N, C, H, W] of a .npy file of float32 or float64 in 0..1, or of uint8, divided by 255.

    Its shape is that of one input, flat, H x W if there is one channel, or C x H x W, or of N such inputs. Raises
    `UnreadableInput`, `InvalidInput` for other types (pickled objects are never read), `InvalidShape`, `InvalidValue`.
    """
    header, data = _split_npy(content)
    dtype, order, shape = (pattern.search(header) for pattern in (_NPY_DTYPE, _NPY_ORDER, _NPY_SHAPE))
    if not (order and shape and _NPY_HEADER.fullmatch(header)):
        raise UnreadableInput("the header of the .npy file cannot be read")
    if dtype is None or dtype[1] not in _NPY_DTYPES:
        raise InvalidInput(
            "a .npy file must hold float32 or float64 in 0..1, or uint8, little-endian; pickled objects are refused"
        )
    sizes = tuple(int(size) for size in re.findall(r"\d+", shape[1]))
    rows = _count_rows(sizes, input_shape)
    if len(data) != rows * math.prod(input_shape) * np.dtype(_NPY_DTYPES[dtype[1]]).itemsize:
        raise UnreadableInput("the .npy file is truncated or longer than its header says")
    array = np.frombuffer(data, _NPY_DTYPES[dtype[1]]).reshape(sizes, order="F" if order[1] == "True" else "C")
    if array.dtype == np.uint8:
        return array.reshape(rows, *input_shape).astype(np.float32, order="C") / np.float32(255)
    _refuse_outside(array.reshape(rows, *input_shape))
    return np.ascontiguousarray(array.reshape(rows, *input_shape), np.float32)


def _split_npy(content: bytes) -> tuple[str, memoryview]:
    """Header and data of a .npy file, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html."""
    format_version = content[len(_NPY_MAGIC) : _NPY_VERSION_END]
    if not content.startswith(_NPY_MAGIC) or format_version not in _NPY_LENGTH_BYTES:
        raise UnreadableInput("the body is not a .npy file; write it with numpy.save")
    start = _NPY_VERSION_END + _NPY_LENGTH_BYTES[format_version]
    length = int.from_bytes(content[_NPY_VERSION_END:start], "little")
    if length > min(_LARGEST_NPY_HEADER, len(content) - start):
        raise UnreadableInput("the header of the .npy file is truncated or too long")
    return content[start : start + length].decode("latin-1"), memoryview(content)[start + length :]


def _count_rows(sizes: tuple[int, ...], input_shape: Shape) -> int:
    """How many inputs an array of these sizes holds; no shape can be read in two ways that differ."""
    items = _item_shapes(input_shape)
    if sizes in items:
        return 1
    if sizes[1:] not in items:
        raise InvalidShape(f"the array must be one input or N of them, each {_shapes(input_shape)}")
    if not 1 <= sizes[0] <= LARGEST_ROWS:
        raise InvalidShape(f"send 1 to {LARGEST_ROWS:,} inputs at a time")
    return sizes[0]
