"""From a forget request as it is stored to what the core is asked for."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from app import specs
from app.method_parameters import MethodParameters, RetrainParameters
from app.method_specs import METHOD_SPECS, MethodName, Unlearning
from app.schemas import PARAMETERS

if TYPE_CHECKING:
    from app.database.tables import ForgetRequestRow
    from app.operations.publishing import Start

_EDIT: TypeAdapter[specs.Edit] = TypeAdapter(specs.Edit)
_METHOD: TypeAdapter[MethodName] = TypeAdapter(MethodName)
_TRAINING: TypeAdapter[specs.Training] = TypeAdapter(specs.Training)


def asked_of(request: ForgetRequestRow, start: Start) -> specs.Edit | Unlearning:
    """What the request asks for: retraining by the model's own recipe unless another one was sent."""
    if request.method == "edit":
        edit = edit_of(request)
        weight = max(edit.parameters.collapse_weight, start.collapse_weight)
        return replace(edit, pushed=start.pushed, parameters=replace(edit.parameters, collapse_weight=weight))
    parameters = _parameters(request)
    if isinstance(parameters, RetrainParameters) and parameters.training is None:
        parameters = replace(parameters, training=_TRAINING.validate_python(start.model.training))
    return Unlearning(
        method=_METHOD.validate_python(request.method),
        parameters=parameters,
        refusal=edit_of(request).refusal,
        guard=edit_of(request).guard,
        seed=request.seed,
        pushed=start.pushed,
    )


def edit_of(request: ForgetRequestRow) -> specs.Edit:
    """What `edit` was asked for; of any other method, how its classes are refused, and within which budgets."""
    classes, seed = request.target.get("classes", []), request.seed
    asked = {"classes": classes, "refusal": request.refusal, "seed": seed, "guard": request.guard or {}}
    if request.guard is not None:
        asked["guard"] = request.guard
    if request.method == "edit":
        how = {"strategy": request.strategy, "scope": request.scope, "parameters": request.parameters}
        return _EDIT.validate_python(asked | how)
    return _EDIT.validate_python(asked | {"parameters": asdict(_parameters(request).of_refusal())})


def _parameters(request: ForgetRequestRow) -> MethodParameters:
    spec = METHOD_SPECS[_METHOD.validate_python(request.method)]
    parameters: MethodParameters = PARAMETERS[spec.parameters].validate_python(request.parameters)
    return parameters
