"""`sisa`: train the shards again that held the samples."""

from __future__ import annotations

from dataclasses import dataclass

from app.specs.methods.method import MethodSpec
from app.specs.methods.work import Work
from app.specs.refusing import Budgets
from app.specs.sharding import expected_share


@dataclass(frozen=True)
class SisaParameters(Budgets):
    """Parameters of the method `sisa`; the training of the model decides everything else, its seed included."""


def _images(work: Work, parameters: SisaParameters) -> float:  # noqa: ARG001  every method is asked alike
    """The cost for samples that fall into shards and slices at random, as their share of what training anew passes."""
    rows = work.rows
    share = expected_share(rows.sharding, round(rows.passes), work.num_forget) if rows.sharding else 1.0
    return share * rows.passes * work.num_retain


SPEC = MethodSpec(
    name="sisa",
    parameters=SisaParameters,
    claim="exact",
    targets=("samples",),
    modes=("sisa",),
    refusals=("none",),
    reads_forget_set=False,
    recurrent=True,
    idea="Trains again only the shards that held the samples, from their last checkpoints before these came.",
    equation="w = (w_1, .., w_S);  w_s stays if D_f misses shard s, else fit(checkpoint before the first hit, D_s - D_f)",
    guarantee="Exact: the bits that sharded training of the same seed gives without the samples.",
    paper="Bourtoule et al.: Machine Unlearning, IEEE S&P 2021 (arXiv:1912.03817)",
    when_not="When more samples go than there are shards: about all of them are hit, and retraining costs the same.",
    images=_images,
    ranks={"samples": 10},
)
