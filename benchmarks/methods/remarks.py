"""What is to be said of goals that were missed, and of how far the run goes; written by hand, for MNIST."""

from __future__ import annotations

_PUSH = (
    "These times are of steps of 192 images. A step has 120 now, drawn ahead: .25 of an epoch in 150 steps of the CNN and .35 of "
    "the MLP, in a check beside other work; choosing hidden weights adds a tenth of an epoch."
)
REMARKS: dict[tuple[str, str], str] = {
    ("refusal by default, every class", "mlp"): (
        "With the learning rate .003, on a seed that is not among these, the three digits measured all missed it. On "
        "calibration rows of seeds 1 and 2, .01 refused .986 of all digits on average in place of .983, and .978 of the "
        "worst in place of .960, at as many false refusals; it is the default now. 1,600 steps did about as well for three "
        "digits, at twice the time. The threshold has since been chosen from both sides: forgetting.md has the figures."
    ),
    ("samples by euk: test accuracy", "mlp"): (
        "The training stops once held-out rows are answered as well as rows that the original never saw, perhaps too early. "
        "Since `auto` takes `retrain` for samples where there are no convolutions, nothing was tried."
    ),
    ("samples by euk: time", "mlp"): (
        "Without convolutions all layers begin anew, so it is a retraining that stops early. Of the other methods `finetune` "
        "alone is as quick as wished, and loses more than a point of accuracy. `auto` takes `retrain` there, which is exact."
    ),
    ("zero edit and calibration", "cnn"): (
        "Calibration is a pass over about 4,500 inputs, timed once, on one thread, on a machine with other work. Since then images "
        "are gathered by index_select, in batches of 250, and pooled without indices: .18 s in place of .33 in a check."
    ),
    ("push of 150 steps", "mlp"): _PUSH,
    ("push of 400 steps", "mlp"): _PUSH,
    ("push of 150 steps", "cnn"): _PUSH,
    ("push of 400 steps", "cnn"): _PUSH,
}
"""By goal and network."""

LIMITS: tuple[str, ...] = (
    (
        "The rows with `push` and `guard`, and those of `scrub`, `salun` and `bad_teacher`, were measured before thresholds were chosen "
        "from both sides and before these methods began their tuning at other rates; forgetting.md has newer figures of the default "
        "request."
    ),
    (
        "The columns *claim* and *missed* were computed before limits came from retrained models of the same recipe alone, the "
        "power of every figure was tried on the original with its rows struck, and the calibrated attack was part of the fast "
        "verification. By the present rules nearly every row is `edited`: verification.md says which methods earn more."
    ),
    "Three seeds of the MLP, two of the CNN: its third was not run to the end.",
    "The default request on digits other than 2, 5 and 8 has no retrained model beside it.",
    (
        "None of these seeds was looked at while a setting was chosen. An earlier run on another seed, 7001, had shown that "
        "the learning rate of `push` for the MLP and the settling steps of `salun` and `bad_teacher` were wanting; their "
        "values were then chosen on calibration rows of seeds 1 and 2."
    ),
    "Sets are seeded samples of 3,000 inputs at most, as the fast verification takes them.",
    (
        "`sisa` is calibrated by one sharded reference, the other rows by three, so its AUC is less certain; the control of the "
        "attack was not made for it. It costs as much as retraining here: 500 random rows hit every shard."
    ),
    (
        "Costs were timed beside other work on the machine, the CNN's once. Fast verification meets its goal on 3,000 inputs a "
        "set, where 10,000 are allowed, and with all that was before the request kept."
    ),
)
"""What the figures do not show."""

LEFT_SETTING = (
    "Share of the class's training images that the method by itself still gives their label, before any output row is struck. Digit 5, "
    "default parameters; CNN: seeds 8501, 8502, 8503; MLP: seeds 7102, 7103. Beside it, for the CNN, how accuracy on test images of "
    "what stays changed, and CPU seconds on one thread of a machine with other work. A request whose method leaves more than .05 claims "
    "`edited` at most. `edit` strikes the row and claims no more either way. None of these seeds was looked at before."
)
LEFT: tuple[tuple[str, str, str, str, str], ...] = (
    ("retrain", "-", "-", "-", ".000, .000"),
    ("euk", ".000, .000, .000", "-.0027, -.0020, -.0023", "6.6, 6.1, 6.3", ".000, .000"),
    ("finetune", ".008, .000, .000", "-.0121, -.0133, -.0122", "8.3, 4.5, 4.3", ".115, .001"),
    ("neggrad_plus", ".000, .000, .000", "-.0044, -.0036, -.0036", "2.4, 2.7, 2.5", ".000, .000"),
    ("scrub", ".006, .014, .000", "-.0058, -.0068, -.0053", "6.6, 7.0, 17.5", ".339, .000"),
    ("salun", ".000, .001, .000", "-.0077, -.0048, -.0052", "9.9, 10.0, 9.4", ".004, .002"),
    ("bad_teacher", ".001, .012, .002", "-.0063, -.0047, -.0035", "11.9, 11.9, 11.4", ".013, .001"),
    ("ssd", ".034, .016, .027", "-.0058, -.0022, -.0031", "22.2, 19.5, 19.0", ".120, .146"),
    ("projection", ".030, .038, .028", "-.0077, -.0058, -.0064", "17.9, 16.3, 11.0", ".465, .426"),
)
"""By method: CNN left, change of accuracy, CPU seconds; MLP left."""
