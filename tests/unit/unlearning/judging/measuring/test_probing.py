from __future__ import annotations

import pytest
import torch

from app.errors import NotApplicable
from app.unlearning.judging.attacks import LinearProbe, fit_probe
from tests.oracles import lbfgs_regression


@pytest.mark.parametrize("num_classes", [2, 5])
def test_newton_steps_find_the_probe_that_l_bfgs_finds(num_classes: int) -> None:
    generator = torch.Generator().manual_seed(num_classes)
    labels = torch.arange(60 * num_classes) % num_classes * 2
    centres = torch.randn(2 * num_classes, 12, generator=generator)
    features = centres[labels] + torch.randn(len(labels), 12, generator=generator)
    features[:, 3] = 1.0  # a dead unit
    ours = fit_probe(features, labels)
    standardised = (features.double() - ours.mean) / ours.scale
    weight, bias = lbfgs_regression(standardised, torch.searchsorted(ours.classes, labels), num_classes)
    theirs = LinearProbe(ours.classes, ours.mean, ours.scale, weight, bias)
    torch.testing.assert_close(ours.logits(features), theirs.logits(features), atol=0.02, rtol=0)
    assert torch.equal(ours.answers(features), theirs.answers(features))


def test_a_single_class_is_refused() -> None:
    with pytest.raises(NotApplicable, match="two classes"):
        fit_probe(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64))
