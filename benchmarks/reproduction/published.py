"""What the published runs printed: one run each, seed unknown. Tasks are 0 1, 2 3, 4 5, 6 7, 8 9, in this order.

Karn's notebooks on machine unlearning, https://github.com/rkarn/Machine-Unlearning: those of Synaptic Intelligence
(static) and of progressive learning (growing), each once with zeros and once with random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "https://github.com/rkarn/Machine-Unlearning"

STATIC_ACCURACY = (0.9990543735224586, 0.9098922624877571, 0.9802561366061899, 0.9919436052366566, 0.9626828038325769)
"""After all tasks, each with its two outputs alone."""
STATIC_ZEROED = (0.9990543735224586, 0.9098922624877571, 0.5240128068303095, 0.9919436052366566, 0.9626828038325769)
"""After the outputs of the third task were zeroed."""
STATIC_RANDOM = (0.9990543735224586, 0.8898139079333987, 0.4263607257203842, 0.9904330312185297, 0.9657085224407463)


@dataclass(frozen=True)
class Stage:
    """Accuracy on every task after a stage of forgetting the third one.

    The first stage replaces its outputs by zeros or random numbers, the others hidden values, with outputs zeroed.
    """

    zero: tuple[float, ...]
    random: tuple[float, ...]
    sparsity: float
    """Of the run with zeros."""


STATIC_STAGES = {
    "outputs": Stage(zero=STATIC_ZEROED, random=STATIC_RANDOM, sparsity=0.0025653923541247483),
    "no importance": Stage(
        zero=(0.9990543735224586, 0.9094025465230167, 0.5240128068303095, 0.9919436052366566, 0.9626828038325769),
        random=(0.9990543735224586, 0.8898139079333987, 0.5240128068303095, 0.9899295065458208, 0.9657085224407463),
        sparsity=0.15372233400402416,
    ),
    "most important": Stage(
        zero=(0.9990543735224586, 0.9094025465230167, 0.5240128068303095, 0.9919436052366566, 0.9626828038325769),
        random=(0.9990543735224586, 0.8888344760039177, 0.5240128068303095, 0.9828801611278952, 0.8537569339384771),
        sparsity=0.22972837022132797,
    ),
}
STATIC_NONZERO = (0, 30320, 33444, 34277, 36007)
"""Values of Ω that are not 0, as logged."""
STATIC_SECONDS = 4.67

GROWING_ACCURACY = (0.9990543723106384, 0.9916748404502869, 0.9967982769012451, 0.9974823594093323, 0.9899142980575562)
"""Each on its own checkpoint."""
GROWING_ZEROED = (0.46335697174072266, 0.5053868889808655, 0.5240128040313721, 0.4823766350746155, 0.49117499589920044)
"""The forgotten task after zeroing its outputs and its block."""
GROWING_RANDOM = (0.46335697174072266, 0.4946131110191345, 0.47598719596862793, 0.4823766350746155, 0.5088250041007996)
GROWING_ZEROS = 13
"""Parameters of the last checkpoint that are 0, of 261,510."""
GROWING_ZEROS_OF_CHECKPOINT = 18
"""Of the checkpoint published beside the notebooks, of another run: all are biases of the second hidden layer."""
GROWING_SPARSITY = 0.0000497113
GROWING_SPARSITY_OUTPUTS = 0.0019693320
GROWING_SPARSITY_LAST_TASK = 0.0124698864
