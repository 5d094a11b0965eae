"""A request to forget, as it is computed: its target, its method, its refusal and its seed."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.specs.methods import METHOD_SPECS, MethodName
from app.specs.methods.edit import EditSettings
from app.specs.methods.method import MethodSpec
from app.specs.refusing import Budgets, GuardParameters, Refusal, Refusing
from app.specs.target import Target


@dataclass(frozen=True)
class ForgetSpec:
    """What a request asks for: the same object from the parsed body to the core, and back out of its row."""

    target: Target
    method: MethodName = "edit"
    parameters: Budgets = field(default_factory=EditSettings)
    """The parameters of the method, budgets included; for `edit` an `EditSettings`."""
    refusal: Refusal = "push"
    guard: GuardParameters = field(default_factory=GuardParameters)
    """The parameters of a guard; no other refusal uses them."""
    seed: int = 0

    @property
    def refusing(self) -> Refusing:
        """How the classes are refused, and within which budgets."""
        return Refusing.within(self.parameters, self.refusal, self.guard, self.seed)

    @property
    def of_method(self) -> MethodSpec:
        """What is known of the method."""
        return METHOD_SPECS[self.method]
