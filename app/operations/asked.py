"""From a forget request as it is stored to what the core is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from app import specs
from app.method_parameters import MethodParameters, RetrainParameters
from app.method_specs import METHOD_SPECS, Unlearning
from app.schemas import PARAMETERS

if TYPE_CHECKING:
    from app.database.tables import ForgetRequestRow
    from app.operations.publishing import Start

_EDIT_PARAMETERS: TypeAdapter[specs.EditParameters] = TypeAdapter(specs.EditParameters)


def asked_of(request: ForgetRequestRow, start: Start) -> specs.Edit | Unlearning:
    """What the request asks for: retraining by the model's own recipe unless another one was sent."""
    if request.method == "edit":
        edit = edit_of(request)
        weight = max(edit.parameters.collapse_weight, start.collapse_weight)
        return replace(edit, pushed=start.pushed, parameters=replace(edit.parameters, collapse_weight=weight))
    parameters = _parameters(request)
    if isinstance(parameters, RetrainParameters) and parameters.training is None:
        parameters = replace(parameters, training=start.model.training)
    return Unlearning(
        method=request.method,
        parameters=parameters,
        refusal=edit_of(request).refusal,
        guard=edit_of(request).guard,
        seed=request.seed,
        pushed=start.pushed,
    )


def edit_of(request: ForgetRequestRow) -> specs.Edit:
    """What `edit` was asked for; of any other method, how its classes are refused, and within which budgets."""
    asked = specs.Edit(
        classes=tuple(request.target.get("classes", [])),
        refusal=request.refusal,
        seed=request.seed,
        guard=request.guard or specs.GuardParameters(),
    )
    if request.method != "edit":
        return replace(asked, parameters=_parameters(request).of_refusal())
    assert request.strategy is not None  # as every stored edit has one, and a scope
    assert request.scope is not None
    parameters = _EDIT_PARAMETERS.validate_python(request.parameters)
    return replace(asked, strategy=request.strategy, scope=request.scope, parameters=parameters)


def _parameters(request: ForgetRequestRow) -> MethodParameters:
    assert request.method != "edit"
    spec = METHOD_SPECS[request.method]
    parameters: MethodParameters = PARAMETERS[spec.parameters].validate_python(request.parameters)
    return parameters
