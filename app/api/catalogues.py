"""Routes of data sets, architectures and methods, from which requests choose."""

from __future__ import annotations

from fastapi import APIRouter

from app.api import examples
from app.api.authentication import Reader
from app.api.openapi import answers
from app.api.parameters import DatasetInPath
from app.api.resources import PageParameters, SettingsResource
from app.contract.catalogue import ArchitectureInfo, Dataset, MethodInfo
from app.contract.lists import Page
from app.errors import DatasetNotFound, InvalidPageToken
from app.operations import catalogue

router = APIRouter(prefix="/v1", tags=["catalogues"])


@router.get(
    "/datasets",
    summary="List the data sets",
    responses=answers(200, examples.page(examples.DATASET), InvalidPageToken),
)
def list_datasets(_: Reader, settings: SettingsResource, page: PageParameters) -> Page[Dataset]:
    """All data sets that models can be trained on, and whether their files are on this machine."""
    return catalogue.list_datasets(settings, page)


@router.get("/datasets/{name}", summary="Look at a data set", responses=answers(200, examples.DATASET, DatasetNotFound))
def get_dataset(_: Reader, settings: SettingsResource, name: DatasetInPath) -> Dataset:
    """One data set: shape, classes by index, sizes."""
    return catalogue.get_dataset(settings, name)


@router.get(
    "/architectures",
    summary="List the architectures",
    responses=answers(200, examples.page(examples.ARCHITECTURE), InvalidPageToken),
)
def list_architectures(_: Reader, page: PageParameters) -> Page[ArchitectureInfo]:
    """All network architectures, each with a JSON Schema of its parameters."""
    return catalogue.list_architectures(page)


@router.get(
    "/methods",
    summary="List the unlearning methods",
    responses=answers(200, examples.page(examples.METHOD), InvalidPageToken),
)
def list_methods(_: Reader, page: PageParameters) -> Page[MethodInfo]:
    """All unlearning methods: what each claims, for which targets, and when not to use it."""
    return catalogue.list_methods(page)
