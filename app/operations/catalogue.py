"""What there is to choose from: data sets, architectures, unlearning methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter

from app.contract.catalogue import ArchitectureInfo, Dataset, MethodInfo
from app.contract.forgetting import PARAMETERS
from app.contract.lists import Page
from app.datasets import catalogue
from app.datasets.dataset_spec import DatasetSpec
from app.operations.pages import PageQuery, paginate_fixed
from app.settings import Settings
from app.specs.architectures import Growable, Torchvision, TorchvisionName
from app.specs.methods import METHOD_SPECS
from app.specs.methods.method import MethodSpec

_ADAPTERS: Mapping[type[Any], TypeAdapter[Any]] = {
    **PARAMETERS,
    **{kind: TypeAdapter(kind) for kind in (Torchvision, *get_args(Growable))},
}
_TORCHVISION = "torchvision's {name}, untrained, its first layer adapted to the input's channels and size."


def list_datasets(settings: Settings, page: PageQuery) -> Page[Dataset]:
    """All data sets of the catalogue."""
    specs_of_page, next_token = paginate_fixed(list(catalogue.CATALOGUE.values()), "datasets", page)
    return Page(items=[_dataset(spec, settings) for spec in specs_of_page], next_page_token=next_token)


def get_dataset(settings: Settings, name: str) -> Dataset:
    """One data set; raises `DatasetNotFound`."""
    return _dataset(catalogue.find(name), settings)


def list_architectures(page: PageQuery) -> Page[ArchitectureInfo]:
    """All architectures by the `type` that asks for them."""
    architectures = [
        *(_own(kind) for kind in get_args(Growable)),
        *(_torchvision(name) for name in get_args(TorchvisionName)),
    ]
    items, next_token = paginate_fixed(architectures, "architectures", page)
    return Page(items=items, next_page_token=next_token)


def list_methods(page: PageQuery) -> Page[MethodInfo]:
    """All unlearning methods."""
    methods = [_method(name, spec) for name, spec in METHOD_SPECS.items()]
    items, next_token = paginate_fixed(methods, "methods", page)
    return Page(items=items, next_page_token=next_token)


def _method(name: str, spec: MethodSpec) -> MethodInfo:
    return MethodInfo(
        name=name,
        description=spec.summary,
        claim=spec.claim,
        targets=list(spec.targets),
        modes=list(spec.modes),
        refusals={refusal: spec.claim_with(refusal) for refusal in spec.refusals},
        idea=spec.idea,
        equation=spec.equation,
        guarantee=spec.guarantee,
        reference_paper=spec.paper,
        when_not=spec.when_not,
        parameters=_schema(spec.parameters),
    )


def _dataset(spec: DatasetSpec, settings: Settings) -> Dataset:
    return Dataset(
        name=spec.name,
        description=spec.description,
        input_shape=list(spec.input_shape),
        classes=list(spec.classes),
        num_train=spec.num_train,
        num_test=spec.num_test,
        available=catalogue.is_available(spec, settings),
    )


def _own(kind: type[Growable]) -> ArchitectureInfo:
    return ArchitectureInfo(name=kind.type, description=_summary(kind), parameters=_schema(kind))


def _torchvision(name: str) -> ArchitectureInfo:
    schema = _schema(Torchvision)
    schema["properties"]["type"] = {"const": name, "type": "string"}
    return ArchitectureInfo(name=name, description=_TORCHVISION.format(name=name), parameters=schema)


def _schema(kind: type[Any]) -> dict[str, Any]:
    return _ADAPTERS[kind].json_schema()


def _summary(kind: type[Any]) -> str:
    return (kind.__doc__ or "").splitlines()[0]
