"""SISA: shards that held the samples are trained again, from their last checkpoints before these came (Bourtoule et al. 2021)."""

from __future__ import annotations

from dataclasses import asdict

from app.specs.methods.sisa import SisaParameters
from app.unlearning.case import Case
from app.unlearning.context import Context
from app.unlearning.learning.sisa.learning import forget_samples, provenance_of
from app.unlearning.methods.method import Computed


def compute(
    case: Case,
    parameters: SisaParameters,  # noqa: ARG001  they are the gate's
    context: Context,
    *,
    seed: int,  # noqa: ARG001  that of the model's own training draws what is drawn
) -> Computed:
    """Forget the samples; the null unit stays that of the original. Raises NotApplicable as `forget_samples` does."""
    done = forget_samples(case, context)
    done.model.null_bias.copy_(case.original.null_bias)
    provenance = provenance_of(done.model)
    settings = {
        "training": asdict(provenance.training),
        "first_slices": {str(shard): number for shard, number in done.first_slices.items()},
        "work": done.work,
    }
    return Computed(done.model, settings, trained_on=provenance.rows)
