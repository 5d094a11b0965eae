"""Synaptic Intelligence: how much each parameter did for a task, summed along the path of its training.

Zenke, Poole and Ganguli 2017, arXiv 1703.04200.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from app.specs.learning import SynapticIntelligence
from app.unlearning.learning.architectures import Classifier

Importance = Mapping[int, dict[str, Tensor]]
"""For each task, by index, its own importance Ω: float32, 0 or more, shaped like each parameter, by its name."""


class PathIntegral:
    """Sums what each parameter does for the loss of the task being learned, and holds parameters that other tasks need.

    The surrogate loss is c · Σ Ω (θ - θ*)², with Ω summed over the other tasks and θ* where this task began.
    """

    def __init__(self, model: Classifier, others: Iterable[dict[str, Tensor]], learning: SynapticIntelligence) -> None:
        """`model` is on the device that it is fitted on; `others` are the importances of the tasks to hold."""
        self._xi = learning.xi
        self._parameters = dict(model.named_parameters())
        self._start = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._integral = {name: torch.zeros_like(start) for name, start in self._start.items()}
        self._stiffness = {name: 2 * learning.c * held for name, held in _summed(others, self._start).items()}
        self._before: dict[str, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def after_backward(self) -> None:
        """Keep the gradient of the task's loss alone, then add that of the surrogate loss."""
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                continue
            self._before[name] = parameter.grad.clone(), parameter.detach().clone()
            if name in self._stiffness:
                parameter.grad.addcmul_(self._stiffness[name], parameter - self._start[name])

    @torch.no_grad()
    def after_step(self) -> None:
        """Add to the integral what this step did: -gradient · change, to first order the fall of the loss."""
        for name, (gradient, before) in self._before.items():
            self._integral[name].addcmul_(gradient, self._parameters[name] - before, value=-1)

    @torch.no_grad()
    def importance(self) -> dict[str, Tensor]:
        """Ω of the task that was learned, at its end: the integral over the squared change of the parameter plus ξ.

        A parameter that made the loss rise has no importance, so Ω is never below 0: a negative Ω would push parameters
        away.
        """
        return {
            name: (self._integral[name].clamp(min=0) / ((parameter - self._start[name]).square() + self._xi)).cpu()
            for name, parameter in self._parameters.items()
        }


def _summed(importances: Iterable[dict[str, Tensor]], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """The sum by parameter name; empty for none, so that a first task is learned without any surrogate loss."""
    total: dict[str, Tensor] = {}
    for importance in importances:
        for name, values in importance.items():
            total[name] = total.get(name, 0) + values.to(like[name].device)
    return total
