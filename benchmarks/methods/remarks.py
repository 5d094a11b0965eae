"""What is to be said of goals that were missed, and of how far the study goes; written by hand."""

from __future__ import annotations

REMARKS: dict[tuple[str, str], str] = {
    ("euk: test accuracy", "mlp"): (
        "The training stops once held-out rows are answered as well as rows that the original never saw, perhaps too early.\n"
        "  Since `auto` takes `retrain` for samples where there are no convolutions, nothing was tried."
    ),
    ("euk: time", "mlp"): (
        "Without convolutions all layers begin anew, so it is a retraining that stops early. `auto` takes `retrain` there,\n"
        "  which is exact."
    ),
}
"""By goal and network."""

LIMITS: tuple[str, ...] = (
    "The default request on digits other than 2, 5 and 8 has no retrained model beside it.",
    "None of these seeds was looked at while a setting was chosen.",
    "Sets are seeded samples of 3,000 inputs at most, as the fast verification takes them.",
    (
        "`sisa` is calibrated by one sharded reference, the other rows by three, so its AUC is less certain; the control of the\n"
        "  attack is not made for it. It costs as much as retraining here: 500 random rows hit every shard."
    ),
)
"""What the figures do not show."""
