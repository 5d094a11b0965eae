from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from app.errors import NotApplicable
from app.specs.architectures import Mlp
from app.specs.training import Training
from app.unlearning.context import Context
from app.unlearning.judging.attacks import fit_probe, prototype_answers, rows_per_class
from app.unlearning.judging.measuring.features import layer_features
from app.unlearning.judging.measuring.intervals import gap
from app.unlearning.learning.architectures import Classifier, build
from app.unlearning.learning.training import fit
from app.unlearning.partition import Partition
from tests.unit.unlearning.blobs import blobs, fitted


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clusters(per_class: int, *, width: int = 6, distance: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features of classes 0, 3 and 5, each about a centre of its own."""
    centres = distance * torch.randn(3, width, generator=seeded())
    index = torch.arange(3 * per_class) % 3
    features = centres[index] + torch.randn(3 * per_class, width, generator=seeded(seed + 1))
    return features, torch.tensor([0, 3, 5])[index]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 4), st.integers(0, 3))
def test_rows_are_drawn_balanced_without_repetition_or_not_at_all(values: list[int], per_class: int, seed: int) -> None:
    labels = torch.tensor(values)
    counts = {number: values.count(number) for number in set(values)}
    if min(counts.values()) < per_class:
        with pytest.raises(NotApplicable, match="ask for fewer"):
            rows_per_class(labels, per_class, seeded(seed))
        return
    rows = rows_per_class(labels, per_class, seeded(seed))
    assert len(set(rows.tolist())) == len(rows) == per_class * len(counts)
    assert sorted(labels[rows].tolist()) == sorted(number for number in counts for _ in range(per_class))


def test_another_seed_draws_other_rows_and_every_row_has_its_chance() -> None:
    labels = torch.zeros(30, dtype=torch.int64)
    drawn = torch.cat([rows_per_class(labels, 10, seeded(seed)) for seed in range(300)])
    assert torch.bincount(drawn, minlength=30).min() > 60  # 100 expected, standard deviation 8


def test_the_probe_is_scikit_learns_logistic_regression() -> None:
    features, labels = clusters(40)
    asked, _ = clusters(50, seed=5)
    probe = fit_probe(features, labels)
    scaler = StandardScaler().fit(features.double().numpy())
    oracle = LogisticRegression(C=1.0, tol=1e-10, max_iter=2000).fit(
        scaler.transform(features.double().numpy()), labels.numpy()
    )
    assert torch.allclose(probe.weight, torch.from_numpy(oracle.coef_), atol=1e-4)
    known = torch.from_numpy(oracle.predict_proba(scaler.transform(asked.double().numpy())))
    assert torch.allclose(probe.logits(asked).softmax(dim=1), known, atol=1e-4)
    assert torch.equal(probe.answers(asked), torch.from_numpy(oracle.predict(scaler.transform(asked.double().numpy()))))


def test_the_probe_is_the_same_for_scaled_moved_and_shuffled_features() -> None:
    features, labels = clusters(30)
    order = torch.randperm(len(labels), generator=seeded())
    plain, other = fit_probe(features, labels), fit_probe(1000 * features[order] + 7, labels[order])
    assert torch.allclose(plain.logits(features), other.logits(1000 * features + 7), atol=1e-3)


def test_dead_features_do_not_disturb_the_probe() -> None:
    features, labels = clusters(30)
    dead = torch.cat([features, torch.full((90, 2), 0.1)], dim=1)
    assert torch.equal(fit_probe(dead, labels).answers(dead), fit_probe(features, labels).answers(features))


def test_the_probe_neither_reads_nor_moves_the_global_generator() -> None:
    features, labels = clusters(20)
    state = torch.get_rng_state()
    assert torch.equal(fit_probe(features, labels).weight, fit_probe(features, labels).weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_prototypes_of_well_separated_classes_find_them_all() -> None:
    features, labels = clusters(30, distance=20)
    asked, truth = clusters(20, distance=20, seed=9)
    found = prototype_answers(features, labels, [3], asked, shots=1, generator=seeded(), draws=4)
    assert found.shape == (4, 60)
    assert torch.equal(found, truth.expand(4, -1))


def test_prototypes_are_those_of_a_loop_over_draws() -> None:
    features, labels = clusters(12)
    asked, _ = clusters(5, seed=3)
    found = prototype_answers(features, labels, [0], asked, shots=12, generator=seeded(), draws=2)
    centre = features[labels != 0].double().mean(dim=0)

    def direction(row: Tensor) -> Tensor:
        moved = row.double() - centre
        return moved / moved.square().sum().sqrt()

    means = {
        number: torch.stack([direction(row) for row in features[labels == number]]).mean(dim=0) for number in (0, 3, 5)
    }
    known = [min(means, key=lambda number: float((direction(row) - means[number]).norm())) for row in asked]
    assert found.tolist() == [known, known]  # every image is drawn, so all draws are alike


def test_more_shots_find_more() -> None:
    features, labels = clusters(60, width=30, distance=0.6)
    asked, truth = clusters(60, width=30, distance=0.6, seed=9)
    hits = [
        float(
            (prototype_answers(features, labels, [5], asked, shots=shots, generator=seeded()) == truth)[:, truth == 5]
            .double()
            .mean()
        )
        for shots in (1, 10)
    ]
    assert hits[0] + 0.1 < hits[1]


def test_an_untouched_model_fails_the_attacks_and_a_retrained_one_passes_them() -> None:
    data = blobs(noise=110, rows=1200)
    partition = Partition.of(data, [2])
    retrained = []
    for seed in (1, 2, 3, 4):
        model = build(Mlp(hidden=(16,)), data.input_shape, 4, seed)
        model.mark_forgotten([2])
        fit(model, data, partition.train.retain, Training(epochs=8, batch_size=32, seed=seed), Context())
        retrained.append(model)
    original = fitted(data, Mlp(hidden=(16,)), epochs=8)
    drawn = data.train_rows[rows_per_class(data.train_labels[data.train_rows], 50, seeded())]

    def probed(model: Classifier) -> Tensor:
        seen = layer_features(model, data.train_images, drawn, ["body"])["body"]
        asked = layer_features(model, data.test_images, partition.test.forget, ["body"])["body"]
        return fit_probe(seen, data.train_labels[drawn]).answers(asked) == 2

    def prototyped(model: Classifier) -> Tensor:
        rows = data.train_rows
        seen = layer_features(model, data.train_images, rows, ["body"])["body"]
        asked = layer_features(model, data.test_images, partition.test.forget, ["body"])["body"]
        found = prototype_answers(seen, data.train_labels[rows], [2], asked, shots=5, generator=seeded())
        return (found == 2).double().mean(dim=0)

    for attack in (probed, prototyped):
        references = torch.stack([attack(model) for model in retrained[1:]])
        untouched, passed = (gap(attack(model), references, seeded()) for model in (original, retrained[0]))
        assert untouched.seed_spread is not None
        assert passed.seed_spread is not None
        assert untouched.difference.low > untouched.seed_spread
        assert passed.difference.low <= passed.seed_spread


def test_nothing_is_attacked_without_images_of_both_kinds() -> None:
    features, labels = clusters(4)
    for asked in (
        lambda: fit_probe(features[:0], labels[:0]),
        lambda: fit_probe(features[labels == 3], labels[labels == 3]),
        lambda: fit_probe(features * torch.nan, labels),
        lambda: fit_probe(features, labels).answers(features[:0]),
        lambda: rows_per_class(labels[:0], 1, seeded()),
        lambda: prototype_answers(features, labels, [], features, shots=1, generator=seeded()),
        lambda: prototype_answers(features, labels, [0, 3, 5], features, shots=1, generator=seeded()),
        lambda: prototype_answers(features, labels, [3], features, shots=5, generator=seeded()),
        lambda: prototype_answers(features, labels, [4], features, shots=1, generator=seeded()),
        lambda: prototype_answers(features, labels, [3], features, shots=0, generator=seeded()),
    ):
        with pytest.raises(NotApplicable):
            asked()
