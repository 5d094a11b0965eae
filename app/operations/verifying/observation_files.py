"""What models were seen to do, kept for the next request of the same target: where, and until when.

It is kept beside the version that serves, in `observations/{model}/{version}/` of the home. A request that forgets makes
another version serve, and everything kept before is destroyed: nothing of forgotten rows is left.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from app.database.engine import Database
from app.database.tables import ModelRow
from app.files import remove, storage_faults
from app.settings import Settings

if TYPE_CHECKING:
    from app.datasets.loading import LoadedDataset
    from app.operations.training.publishing import Start
    from app.unlearning.judging.verifying.kept import Shelf


def shelf_of(start: Start, loaded: LoadedDataset) -> Shelf | None:
    """Where observations are kept for the serving version; None where no version serves."""
    from app.store.environment import describe
    from app.store.observations import Observations
    from app.unlearning.judging.verifying.kept import Shelf

    if start.parent is None:
        return None
    kept = Observations(_root(start.attempt.settings) / start.model.name / str(start.parent.number))
    about = {"data": loaded.data_digest, **describe().model_dump(mode="json")}
    return Shelf(kept.read, kept.write, json.dumps(about, sort_keys=True))


def destroy_outdated(database: Database, settings: Settings) -> None:
    """Destroy what is kept beside versions that do not serve, any more or at all; raises `StorageUnavailable`."""
    with database.reading() as session:
        serving = select(ModelRow.name, ModelRow.serving_version).where(ModelRow.serving_version.is_not(None))
        serves = {(name, str(number)) for name, number in session.execute(serving)}
    with storage_faults(settings.home):
        for folder in _root(settings).glob("*/*"):
            if (folder.parent.name, folder.name) not in serves:
                remove(folder)


def _root(settings: Settings) -> Path:
    return settings.home / "observations"
