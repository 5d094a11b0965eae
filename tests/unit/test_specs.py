from __future__ import annotations

from app.specs.architectures import Cnn, Mlp, Torchvision
from app.specs.learning import Progressive, SynapticIntelligence, unit_blocks

TASKS = ((0, 1), (2, 3), (4, 5))


def test_each_task_owns_a_block_of_units_in_every_hidden_layer() -> None:
    growing = Progressive(tasks=TASKS, growth=(2, 1, 5))
    assert unit_blocks(Cnn(channels=(4, 8), hidden=16), growing) == (
        ((0, 4), (0, 8), (0, 16)),
        ((4, 6), (8, 9), (16, 21)),
        ((6, 8), (9, 10), (21, 26)),
    )
    assert unit_blocks(Mlp(hidden=(50, 50)), Progressive(tasks=TASKS))[2] == ((100, 150), (100, 150))


def test_no_task_owns_units_of_a_network_that_does_not_grow() -> None:
    assert unit_blocks(Mlp(), SynapticIntelligence(tasks=TASKS)) == ()
    assert unit_blocks(Torchvision(), Progressive(tasks=TASKS)) == ()
