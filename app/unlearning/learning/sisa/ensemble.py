"""The networks of all shards as one classifier: their features side by side, and one head that averages their logits."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from app.unlearning.learning.architectures import Classifier
from app.unlearning.learning.sisa.shards import ShardBodies


@torch.no_grad()
def assemble(model: Classifier, members: Mapping[int, Classifier]) -> None:
    """Take over, in place, the weights of the network of each shard, at least one; a shard without a network has no say.

    The logits are the mean of the logits of all networks. A mean of logits, rather than of votes or of probabilities,
    is linear in the features: the ensemble has one head, and can be struck, refused, probed, served and stored as every
    other classifier. What a shard without a network held is overwritten: its body by that of another shard, its columns
    of the head by zeros. `model` shares no memory with the networks.
    """
    assert isinstance(model.body, ShardBodies)  # of learning mode `sisa`
    bodies = model.body.shards
    width = model.head.in_features // len(bodies)
    model.head.weight.zero_()
    model.head.bias.zero_()
    for shard, body in enumerate(bodies):
        member = members.get(shard)
        source = member or next(iter(members.values()))
        body.load_state_dict(source.body.state_dict())
        if member is not None:
            model.head.weight[:, shard * width : (shard + 1) * width] = member.head.weight / len(members)
            model.head.bias.add_(member.head.bias / len(members))
