"""The networks of all shards as one classifier: their features side by side, and one head that averages their logits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from app.specs import Architecture
from app.unlearning.architectures import STANDARD, Classifier


class ShardBodies(nn.Module):
    """Features of several bodies beside each other: float32 [N, D1 + D2 + …]."""

    def __init__(self, bodies: list[nn.Module]) -> None:
        super().__init__()
        self.shards = nn.ModuleList(bodies)

    def forward(self, images: Tensor) -> Tensor:
        """Features of images, float32 [N, C, H, W]."""
        return torch.cat([body(images) for body in self.shards], dim=1)


class ShardedClassifier(Classifier):
    """A classifier of as many networks as there are shards; its logits are the mean of theirs.

    The mean of logits, rather than of votes or of probabilities, is linear in the features: the ensemble has one head,
    and can be struck, refused, probed, served and stored as every other classifier. Whoever builds a network of the same
    `architecture` builds that of one shard.
    """

    def __init__(
        self, architecture: Architecture, input_shape: tuple[int, int, int], num_classes: int, shards: int
    ) -> None:
        """Weights are not to be used before `assemble` or `load_state_dict` has set them."""
        super().__init__(architecture, STANDARD, input_shape, num_classes)
        members = [Classifier(architecture, STANDARD, input_shape, num_classes) for _ in range(shards)]
        self.body = ShardBodies([member.body for member in members])
        self.head = nn.Linear(shards * members[0].head.in_features, num_classes)

    @torch.no_grad()
    def assemble(self, members: Mapping[int, Classifier]) -> None:
        """Take over, in place, the weights of the network of each shard; a shard without a network has no say.

        What a shard without a network held is overwritten: its body by that of another, its columns of the head by zeros.
        """
        bodies = self.body.get_submodule("shards")
        assert isinstance(bodies, nn.ModuleList)  # as __init__ made it
        width = self.head.in_features // len(bodies)
        self.head.weight.zero_()
        self.head.bias.zero_()
        for shard, body in enumerate(bodies):
            member = members.get(shard)
            source = member or next(iter(members.values()))
            body.load_state_dict(source.body.state_dict())
            if member is not None:
                self.head.weight[:, shard * width : (shard + 1) * width] = member.head.weight / len(members)
                self.head.bias.add_(member.head.bias / len(members))


def assembled(
    architecture: Architecture,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    shards: int,
    members: Mapping[int, Classifier],
) -> ShardedClassifier:
    """The ensemble of these networks by shard, at least one, in evaluation mode; it shares no memory with them."""
    model = ShardedClassifier(architecture, input_shape, num_classes, shards)
    model.assemble(members)
    return model.to(memory_format=torch.channels_last).eval()
