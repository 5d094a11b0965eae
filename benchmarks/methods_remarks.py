"""What is to be said of goals that were missed, and of how far the run goes; written by hand, for MNIST."""

from __future__ import annotations

_PUSH = (
    "A step has 192 images: 150 steps pass .52 times the images of an epoch and 400 steps 1.4 times, and choosing hidden "
    "weights comes on top. Smaller batches were not tried."
)
REMARKS: dict[tuple[str, str], str] = {
    ("refusal by default, every class", "mlp"): (
        "With the learning rate .003 of this run's first figures the three digits measured all missed it. On calibration "
        "rows of seeds 1 and 2, .01 refused .986 of all digits on average in place of .983, and .978 of the worst in place "
        "of .960, at as many false refusals; it is the default now. 1,600 steps did about as well for three digits, at "
        "twice the time. Why 9 stays below was not found out."
    ),
    ("samples by euk: calibrated attack", "cnn"): (
        "One seed; too few samples to tell it from the goal or from a retrained model (.511). Nothing was tried."
    ),
    ("samples by euk: test accuracy", "mlp"): (
        "The training stops once held-out rows are answered as well as rows that the original never saw, perhaps too early. "
        "Nothing was tried."
    ),
    ("samples by euk: time", "mlp"): (
        "Without convolutions all layers begin anew, so it is a retraining that stops early. Of the other methods `finetune` "
        "alone is as quick as wished, and loses more than a point of accuracy. Resetting fewer layers was not tried."
    ),
    ("zero edit and calibration", "cnn"): (
        "Calibration is a pass over about 4,500 inputs, timed once, on one thread, on a machine with other work. Nothing "
        "was tried."
    ),
    ("push of 150 steps", "mlp"): _PUSH,
    ("push of 400 steps", "mlp"): _PUSH,
    ("push of 150 steps", "cnn"): _PUSH,
    ("push of 400 steps", "cnn"): _PUSH,
}
"""By goal and network."""

LIMITS: tuple[str, ...] = (
    'One seed, where the goals are means of three; "met" and "missed" below are of this one.',
    (
        "CNN: methods are compared on digit 2 alone, not on 5 and 8, and not on two classes; the default request was run on "
        "eight of ten digits, without 5 and 8."
    ),
    "The default request on digits other than 2, 5 and 8 has no retrained model beside it.",
    (
        "Not untouched: after figures of this seed's test images had been seen, two settings were changed, the learning rate of "
        "`push` for the MLP, and the settling steps of `salun` and `bad_teacher`. Their values were chosen on calibration rows "
        "of seeds 1 and 2, yet that there was something to change was learned here, and these rows were measured again on the "
        "same seed. A fresh seed has yet to confirm them."
    ),
    (
        "Sets are seeded samples: of 10,000 inputs at most in cells that ran first (most of the MLP's, the CNN's samples but "
        "`salun` and `bad_teacher`), of 3,000 in later ones, as the fast verification took them. Rows of one table can "
        "therefore differ by a few tenths of a point in accuracy for this alone."
    ),
    (
        "`sisa` is calibrated by one sharded reference, the other rows by three, so its AUC is less certain; the control of the "
        "attack was not made for it."
    ),
    (
        "Costs were timed beside other work on the machine, the CNN's once. Fast verification meets its goal on 3,000 inputs a "
        "set, where 10,000 are allowed, and with all that was before the request kept."
    ),
)
"""What the figures do not show."""
