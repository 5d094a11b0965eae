"""What a verification does in its process: carry the method out once more, and see whether it gives the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.contract.forgetting import PARAMETERS
from app.errors import NotApplicable
from app.specs.methods import METHOD_SPECS, MethodName
from app.store.manifest import Manifest

if TYPE_CHECKING:
    from app.database.tables import ForgetRequestRow, VersionRow
    from app.datasets.loading import LoadedDataset
    from app.operations.verifying.forgotten_so_far import ForgottenSoFar
    from app.unlearning.context import Context
    from app.unlearning.data import Dataset
    from app.unlearning.judging.verifying.claims import AbsenceProof, Repetition
    from app.unlearning.learning.architectures import Classifier
    from app.unlearning.methods.method import MethodResult
    from app.unlearning.partition import Partition


@dataclass(frozen=True)
class Record:
    """What is recorded of the version whose method is to be carried out once more."""

    version: VersionRow
    request: ForgetRequestRow
    forgotten: ForgottenSoFar
    refusal: str
    """The refusal that was fitted, which may differ from the one asked for."""
    proof: AbsenceProof | None
    """The proof that the request gave for these very weights."""


class _NotRepeatable(Exception):
    """Why it cannot be repeated, in a sentence."""


def repeat(
    record: Record, original: Classifier | None, loaded: LoadedDataset, partition: Partition, context: Context
) -> tuple[Repetition, AbsenceProof | None]:
    """Carry the method out once more; gives what came of it, and the proof as it then is.

    `original` is the version that the request started from, with its checkpoints; None once it is purged. The
    partition is that of the whole data set in `loaded`. Raises what ends the context.
    """
    from app.unlearning.judging.verifying.claims import AbsenceProof, Repetition, weights_digest

    try:
        proof, manifest = _repeatable(record), _manifest(record.version, loaded)
        result = _carried_out(manifest, record.forgotten, original, loaded.dataset, partition, context=context)
    except _NotRepeatable as reason:
        return Repetition(None, why_not=str(reason)), record.proof
    except NotApplicable as fault:
        return Repetition(None, why_not=f"The method refused to be carried out once more: {fault}"), record.proof
    digest = weights_digest(result.model)
    if result.trained_on is None:
        why_not = "Carried out once more the method kept weights of the version before, so that it proves no absence."
        return Repetition(None, why_not=why_not), record.proof
    rows = result.trained_on
    return Repetition(digest == proof.digest, digest), AbsenceProof(proof.digest, rows, digest)


def _repeatable(record: Record) -> AbsenceProof:
    """The proof that there is to repeat."""
    request, version = record.request, record.version
    if request.version != version.number:
        raise _NotRepeatable(
            f"Version {version.number} was made from what the request left, which is version {request.version}; "
            f"repeat that one."
        )
    if record.refusal == "push":
        raise _NotRepeatable(
            "The refusal push trained these weights on what is forgotten, so equal bits would prove no absence."
        )
    if record.proof is None:
        raise _NotRepeatable(
            f"There is no proof to repeat: what {request.method} made began from weights that knew what is forgotten."
        )
    return record.proof


def _manifest(version: VersionRow, loaded: LoadedDataset) -> Manifest:
    """The recipe as it was sealed, where equal seeds must give equal bits."""
    from app.store.environment import describe, differences

    manifest = Manifest.model_validate(version.manifest)
    if manifest.digest != version.manifest_digest:
        raise _NotRepeatable("The recorded recipe is not the one that was sealed with the version; see the audit log.")
    if (manifest.data_digest, manifest.split_digest) != (loaded.data_digest, loaded.split_digest):
        raise _NotRepeatable(
            "The data set is no longer what the version was made from, so other bits would say nothing."
        )
    found = differences(manifest.environment, describe())
    if found:
        raise _NotRepeatable(
            f"The version was made elsewhere ({'; '.join(found)}), so other bits would say nothing; "
            "repeat it on a machine like that one, with FORGETTERY_TORCH_THREADS as then."
        )
    return manifest


def _carried_out(
    manifest: Manifest,
    forgotten: ForgottenSoFar,
    original: Classifier | None,
    data: Dataset,
    partition: Partition,
    *,
    context: Context,
) -> MethodResult:
    from app.unlearning.case import Case, Parent
    from app.unlearning.methods import METHODS

    done = manifest.recipe["forget"]
    method: MethodName = done["method"]
    parameters = PARAMETERS[METHOD_SPECS[method].parameters].validate_python(done["parameters"])
    if method == "retrain":
        original = _like(manifest, data, partition)
    if original is None:
        raise _NotRepeatable(
            f"The version that the request started from is purged, and {method} needs it: "
            "of sisa its checkpoints, of euk how well it knew what it never saw."
        )
    rest = data.without(forgotten.every_sample)
    return METHODS[method].run(Case(Parent(original), rest, partition), parameters, context, seed=manifest.seed)


def _like(manifest: Manifest, data: Dataset, partition: Partition) -> Classifier:
    """A network like the one to retrain; no value of it is used, so the version before need not be there any more."""
    from app.unlearning.learning.architectures import build

    like = build(manifest.architecture, data.input_shape, data.num_classes, manifest.seed, manifest.learning)
    like.mark_forgotten(partition.earlier_classes)
    return like
