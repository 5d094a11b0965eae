"""What there is to choose from: data sets, architectures, unlearning methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter

from app import specs
from app.datasets import catalogue
from app.datasets.dataset_spec import DatasetSpec
from app.method_specs import CLAIM_CAP, CLAIMS, METHOD_SPECS, Claim, MethodSpec
from app.operations.pages import PageQuery, paginate_fixed
from app.schemas import PARAMETERS, ArchitectureInfo, Dataset, MethodInfo, Page
from app.settings import Settings

_ADAPTERS: Mapping[type[Any], TypeAdapter[Any]] = {
    **PARAMETERS,
    **{kind: TypeAdapter(kind) for kind in (specs.Torchvision, *get_args(specs.Growable))},
}
EDIT_IDEA = "Replaces the weights that matter to the forget set alone; no gradient step is taken."
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
        *(_own(kind) for kind in get_args(specs.Growable)),
        *(_torchvision(name) for name in get_args(specs.TorchvisionName)),
    ]
    items, next_token = paginate_fixed(architectures, "architectures", page)
    return Page(items=items, next_page_token=next_token)


def list_methods(page: PageQuery) -> Page[MethodInfo]:
    """All unlearning methods."""
    methods = [_edit(), *(_method(name, spec) for name, spec in METHOD_SPECS.items())]
    items, next_token = paginate_fixed(methods, "methods", page)
    return Page(items=items, next_page_token=next_token)


def _edit() -> MethodInfo:
    return MethodInfo(
        name="edit",
        description=(
            "Replaces the output weights of the forgotten classes, and with the scope `network` the hidden weights "
            "that matter to them alone, of a task those that are its own; then lets a null unit answer 0 in their "
            "place."
        ),
        claim="edited",
        targets=["classes", "tasks"],
        modes=["standard", "synaptic_intelligence", "progressive"],
        refusals={refusal: _weaker("edited", cap) for refusal, cap in CLAIM_CAP.items()},
        idea=EDIT_IDEA,
        equation="w_c = 0 or random; w_i likewise where F_f / F_r is among the greatest; F = mean of squared gradients",
        guarantee="The output row of the class holds nothing of it; what hidden layers keep is measured.",
        reference_paper="Foster, Schoepf, Brintrup: Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening, AAAI 2024 (arXiv:2308.07707), for the choice of hidden weights",
        when_not=(
            "When traces of a class must also leave the hidden features: they stay findable there, which the claim "
            "says. When a class looks much like a retained one: refusing it then costs answers of the other."
        ),
        parameters=_schema(specs.EditParameters),
    )


def _method(name: str, spec: MethodSpec) -> MethodInfo:
    return MethodInfo(
        name=name,
        description=f"{spec.idea} {spec.equation}. {spec.guarantee}",
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


def _weaker(claim: Claim, other: Claim) -> Claim:
    return min(claim, other, key=CLAIMS.index)


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


def _own(kind: type[specs.Growable]) -> ArchitectureInfo:
    return ArchitectureInfo(name=kind.type, description=_summary(kind), parameters=_schema(kind))


def _torchvision(name: str) -> ArchitectureInfo:
    schema = _schema(specs.Torchvision)
    schema["properties"]["type"] = {"const": name, "type": "string"}
    return ArchitectureInfo(name=name, description=_TORCHVISION.format(name=name), parameters=schema)


def _schema(kind: type[Any]) -> dict[str, Any]:
    return _ADAPTERS[kind].json_schema()


def _summary(kind: type[Any]) -> str:
    return (kind.__doc__ or "").splitlines()[0]
