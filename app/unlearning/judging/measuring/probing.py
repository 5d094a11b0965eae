"""The fit behind a linear probe: ridge-regularised multinomial logistic regression by Newton steps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_RIDGE = 1.0  # weight of half the squared norm against the summed loss; scikit-learn's C = 1
_GRADIENT_TOLERANCE = 1e-7  # of the mean loss, largest entry
_NEWTON_STEPS = 50
_CONJUGATE_STEPS = 60
_HALVINGS = 20
_SUFFICIENT_DECREASE = 1e-4  # Armijo's constant, as usual


def ridge_regression(features: Tensor, targets: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Weight [K, D] and bias [K] of the least summed cross-entropy + |W|^2 / 2; features float64 [N, D], targets 0..K - 1.

    It takes Newton steps whose linear systems are solved by conjugate gradients, only as exactly as is worth while
    (Dembo and Steihaug 1983, doi:10.1007/BF02592055), which takes a fraction of the time of L-BFGS. A few dozen rows a
    class and a hundred features take some hundredths of a second.
    """
    found = _minimum(_Objective(features, targets, num_classes))
    return found[:-1].T.contiguous(), found[-1]


class _Objective:
    """Mean cross-entropy and ridge of weights [D + 1, K], the last row being the bias, which is free."""

    def __init__(self, features: Tensor, targets: Tensor, num_classes: int) -> None:
        self.inputs = functional.pad(features, (0, 1), value=1.0)  # [N, D + 1], a last column of ones for the bias
        self.targets = functional.one_hot(targets, num_classes).double()  # [N, K]
        self.ridge = torch.full((self.inputs.shape[1], 1), _RIDGE / len(targets), dtype=torch.float64)
        self.ridge[-1] = 0.0

    def start(self) -> Tensor:
        """Weights to begin with: zeros, float64 [D + 1, K]."""
        return torch.zeros(self.inputs.shape[1], self.targets.shape[1], dtype=torch.float64)

    def loss(self, weights: Tensor) -> float:
        """The loss of weights [D + 1, K]."""
        logits = self.inputs @ weights
        own = (logits * self.targets).sum(dim=1)  # [N], the logit of each input's class
        return float((logits.logsumexp(dim=1) - own).mean() + (self.ridge * weights.square()).sum() / 2)

    def probabilities(self, weights: Tensor) -> Tensor:
        """The probability of each class for each input, float64 [N, K]."""
        return (self.inputs @ weights).softmax(dim=1)

    def gradient(self, weights: Tensor, probabilities: Tensor) -> Tensor:
        """The gradient, [D + 1, K], at weights [D + 1, K] whose probabilities are [N, K]."""
        return self.inputs.T @ (probabilities - self.targets) / len(self.inputs) + self.ridge * weights

    def curvature(self, direction: Tensor, probabilities: Tensor) -> Tensor:
        """The Hessian times a direction [D + 1, K]."""
        moved = self.inputs @ direction  # [N, K]
        weighted = probabilities * (moved - (probabilities * moved).sum(dim=1, keepdim=True))
        return self.inputs.T @ weighted / len(self.inputs) + self.ridge * direction


@torch.no_grad()
def _minimum(objective: _Objective) -> Tensor:
    """The weights, float64 [D + 1, K], of least loss."""
    weights = objective.start()
    for _ in range(_NEWTON_STEPS):
        probabilities = objective.probabilities(weights)
        gradient = objective.gradient(weights, probabilities)
        if float(gradient.abs().max()) < _GRADIENT_TOLERANCE:
            break
        step = _newton_step(objective, gradient, probabilities)
        weights = _descended(objective, weights, step, float((gradient * step).sum()))
    return weights


def _newton_step(objective: _Objective, gradient: Tensor, probabilities: Tensor) -> Tensor:
    """The step, [D + 1, K], that solves Hessian x step = -gradient, by conjugate gradients."""
    norm = float(gradient.norm())
    wanted = min(0.1, norm**0.5) * norm
    step = torch.zeros_like(gradient)
    residual = -gradient
    direction, squared = residual, float(residual.square().sum())
    for _ in range(_CONJUGATE_STEPS):
        curved = objective.curvature(direction, probabilities)
        length = squared / float((direction * curved).sum())
        step = step + length * direction
        residual = residual - length * curved
        before, squared = squared, float(residual.square().sum())
        if squared**0.5 < wanted:
            break
        direction = residual + squared / before * direction
    return step


def _descended(objective: _Objective, weights: Tensor, step: Tensor, slope: float) -> Tensor:
    """The weights, [D + 1, K], after the longest of the halved steps that lowers the loss enough."""
    before, share = objective.loss(weights), 1.0
    for _ in range(_HALVINGS):
        if objective.loss(weights + share * step) <= before + _SUFFICIENT_DECREASE * share * slope:
            break
        share /= 2
    return weights + share * step
