"""Routes of prediction: the only asynchronous ones, since they wait for another process and are asked most."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from app.api import examples
from app.api.authentication import PredictCaller
from app.api.openapi import Responses, answers_to_body
from app.api.parameters import ModelInPath, VersionInPath, WholeNumber
from app.api.resources import Resources, ResourcesDependency
from app.contract.predicting import Invert, OnForgotten, Predictions
from app.errors import (
    InvalidShape,
    InvalidValue,
    ModelGone,
    ModelNotFound,
    NoServingVersion,
    PredictorUnavailable,
    TaskNotFound,
    UnsupportedMediaType,
    VersionCorrupted,
    VersionGone,
    VersionNotFound,
)
from app.operations.caller import Caller
from app.operations.models import predict
from app.prediction.answers import Options
from app.prediction.inputs import ALIASES, IMAGE_TYPES, JSON_TYPE, MEDIA_TYPES, NPY_TYPE

router = APIRouter(prefix="/v1/models/{model}", tags=["predict"])

# FastAPI would parse a declared body; these are read as they are.
_SMALL = 1 << 20
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON_TYPE: {"schema": {"$ref": "#/components/schemas/PredictRequest"}},
            **dict.fromkeys([*IMAGE_TYPES, NPY_TYPE], _BINARY),
        },
    }
}
_RESPONSES: Responses = answers_to_body(
    200,
    examples.PREDICTIONS,
    ModelNotFound,
    ModelGone,
    VersionNotFound,
    TaskNotFound,
    VersionGone,
    NoServingVersion,
    InvalidShape,
    InvalidValue,
    UnsupportedMediaType,
    VersionCorrupted,
    PredictorUnavailable,
)


async def _options(
    task: Annotated[
        WholeNumber | None,
        Query(ge=0, lt=2**31, description="For image and npy bodies: let only this task's classes compete."),
    ] = None,
    on_forgotten: Annotated[
        OnForgotten, Query(description="For image and npy bodies: what a forgotten input gets.")
    ] = "zero",
    *,
    probabilities: Annotated[bool, Query(description="For image and npy bodies: list the probabilities.")] = False,
    invert: Annotated[
        Invert,
        Query(
            description="For images: take light for dark. The digits of MNIST are light on dark; `auto` inverts an image "
            "with a light edge, such as ink on paper, and dark ink on a transparent ground. What is transparent ends black."
        ),
    ] = "false",
) -> Options:
    return Options(task, on_forgotten, probabilities, invert)


async def _body(request: Request, options: Annotated[Options, Depends(_options)]) -> predict.Body:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    media_type = ALIASES.get(media_type, media_type)
    if media_type not in MEDIA_TYPES:
        raise UnsupportedMediaType(f"name one of {', '.join(MEDIA_TYPES)} in the Content-Type header")
    return predict.Body(media_type, await _content(request), options)


async def _content(request: Request) -> bytes:
    chunks = [chunk async for chunk in request.stream()]
    if sum(map(len, chunks)) <= _SMALL:
        return b"".join(chunks)
    return await run_in_threadpool(b"".join, chunks)  # which lets others run while it copies


InputBody = Annotated[predict.Body, Depends(_body)]


@router.post(
    "/predict",
    summary="Predict with the serving version",
    response_model=Predictions,
    responses=_RESPONSES,
    openapi_extra=_BODY,
)
async def predict_serving(
    caller: PredictCaller, held: ResourcesDependency, model: ModelInPath, body: InputBody
) -> Response:
    """Classify up to 10,000 inputs: JSON lists of numbers in 0..1, one PNG or JPEG, or a .npy file.

    Digits are light on dark (0 is black); an image of ink on paper needs `invert`. Images are turned as their EXIF
    orientation says, and what is transparent is black, whether they are inverted or not.
    An input of a forgotten class is answered with label 0 and `forgotten: true`, unless `on_forgotten` asks otherwise.
    With a `task` its classes compete alone; a wholly forgotten one is always answered as forgotten.
    """
    return await _answer(held, caller, model, None, body)


@router.post(
    "/versions/{number}/predict",
    summary="Predict with a version by number",
    response_model=Predictions,
    responses=_RESPONSES,
    openapi_extra=_BODY,
)
async def predict_version(
    caller: PredictCaller, held: ResourcesDependency, model: ModelInPath, number: VersionInPath, body: InputBody
) -> Response:
    """Classify inputs with one version, which need not serve; 410 once it is quarantined or purged."""
    return await _answer(held, caller, model, number, body)


async def _answer(held: Resources, caller: Caller, model: str, number: int | None, body: predict.Body) -> Response:
    answers = await predict.predict(held.served, held.predictor, caller, name=model, number=number, body=body)
    held.metrics.predictions(forgotten=answers.forgotten, known=answers.known)
    return Response(answers.content, media_type=JSON_TYPE)
