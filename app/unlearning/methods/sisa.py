"""SISA: shards that held the samples are trained again, from their last checkpoints before these came (Bourtoule et al. 2021)."""

from __future__ import annotations

from dataclasses import asdict

from app.method_parameters import SisaParameters
from app.unlearning.architectures import Classifier
from app.unlearning.context import Context
from app.unlearning.data import Dataset
from app.unlearning.methods.method import Computed
from app.unlearning.partition import Partition
from app.unlearning.sisa.learning import forget_samples, provenance_of


def sisa(
    original: Classifier,
    data: Dataset,
    partition: Partition,
    parameters: SisaParameters,  # noqa: ARG001  they are the gate's
    context: Context,
    *,
    seed: int,  # noqa: ARG001  that of the model's own training draws what is drawn
) -> Computed:
    """Forget the samples; the null unit stays that of `original`. Raises NotApplicable as `forget_samples` does."""
    done = forget_samples(original, data, partition, context)
    done.model.null_bias.copy_(original.null_bias)
    provenance = provenance_of(done.model)
    settings = {
        "training": asdict(provenance.training),
        "first_slices": {str(shard): number for shard, number in done.first_slices.items()},
        "work": done.work,
    }
    return Computed(done.model, settings, trained_on=provenance.rows)
