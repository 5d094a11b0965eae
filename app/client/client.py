"""One method per route of the HTTP contract, typed by `app.contract`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote
from uuid import UUID

import httpx

from app.client import inputs as encoding
from app.client import jobs as following
from app.client.connection import Connection
from app.client.problems import error_from_problem
from app.contract.audit import AuditConsistency, AuditEvent, AuditKeys, AuditProof, AuditVerification
from app.contract.catalogue import ArchitectureInfo, Dataset, MethodInfo
from app.contract.comparing import CompareCreate, Comparison
from app.contract.forgetting import ForgetCreate, ForgetPlan, ForgetRequest
from app.contract.jobs import ForgetStatus, Job, JobKind, JobStatus
from app.contract.keys import ApiKey, ApiKeyCreate, ApiKeyCreated
from app.contract.models import Model, ModelAndJob, ModelCreate
from app.contract.predicting import Invert, OnForgotten, Predictions
from app.contract.service import Health, Readiness
from app.contract.training import TrainRequest
from app.contract.verifying import Depth, Verification, VerifyCreate
from app.contract.versions import ServingRequest, Version, VersionState
from app.errors import Conflict, JobCancelled, VersionCorrupted


class Client:
    """A Forgettery server, as Python.

    `key` is an API key, `timeout` the seconds one answer may take, `transport` another way to the server (httpx).
    Every method raises the exception of `app.errors` that the server raised, with the whole problem document as its
    `problem`, or Unavailable when no server answers. Lists are iterators that fetch page after page.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        *,
        timeout: float = 60,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = Connection(url, key, timeout, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client is of no use afterwards."""
        self._connection.close()

    @property
    def url(self) -> str:
        """The server's address."""
        return self._connection.url

    # --- service and catalogues --------------------------------------------------------------------

    def health(self) -> Health:
        """Whether the process answers."""
        return self._connection.read(Health, "/healthz")

    def readiness(self) -> Readiness:
        """Whether every part works; raises NotReady, whose `problem.checks` name the one that does not."""
        return self._connection.read(Readiness, "/readyz")

    def metrics(self) -> str:
        """The server's counters in Prometheus's text format."""
        return self._connection.request("GET", "/metrics").text

    def datasets(self) -> Iterator[Dataset]:
        """The data sets that models can be trained on."""
        return self._connection.pages(Dataset, "/v1/datasets")

    def dataset(self, name: str) -> Dataset:
        """One data set."""
        return self._connection.read(Dataset, f"/v1/datasets/{_segment(name)}")

    def architectures(self) -> Iterator[ArchitectureInfo]:
        """The architectures and the JSON Schema of their parameters."""
        return self._connection.pages(ArchitectureInfo, "/v1/architectures")

    def methods(self) -> Iterator[MethodInfo]:
        """The unlearning methods: what they claim, for what, and when not to use them."""
        return self._connection.pages(MethodInfo, "/v1/methods")

    # --- models and versions -----------------------------------------------------------------------

    def create_model(self, body: ModelCreate) -> ModelAndJob:
        """Create a model and start its training."""
        return self._connection.parsed(ModelAndJob, self._connection.start_work("/v1/models", body))

    def train(self, model: str, body: TrainRequest) -> ModelAndJob:
        """Start a further training run of a model."""
        return self._connection.parsed(ModelAndJob, self._connection.start_work(f"{_path(model)}/train", body))

    def models(self) -> Iterator[Model]:
        """All models."""
        return self._connection.pages(Model, "/v1/models")

    def model(self, name: str) -> Model:
        """One model."""
        return self._connection.read(Model, _path(name))

    def set_serving(self, model: str, version: int) -> Model:
        """Let another version serve."""
        body = ServingRequest(version=version).model_dump(mode="json")
        return self._connection.parsed(Model, self._connection.request("PUT", f"{_path(model)}/serving", body=body))

    def delete_model(self, name: str) -> None:
        """Purge all versions of a model and retire its name."""
        self._connection.request("DELETE", _path(name))

    def versions(self, model: str, *, state: VersionState | None = None) -> Iterator[Version]:
        """The versions of a model."""
        return self._connection.pages(Version, f"{_path(model)}/versions", {"state": state})

    def version(self, model: str, number: int) -> Version:
        """One version of a model."""
        return self._connection.read(Version, _path(model, number))

    def model_card(self, model: str, number: int) -> str:
        """The model card of a version, in Markdown."""
        return self._connection.request("GET", f"{_path(model, number)}/card").text

    def download_weights(self, model: str, number: int, destination: Path) -> Path:
        """Write a version's safetensors file to `destination`; raises VersionCorrupted if its digest is another."""
        expected = self.version(model, number).digest
        partial = destination.with_name(destination.name + ".part")
        try:
            digest = self._download(f"{_path(model, number)}/weights", partial)
            if digest != expected:
                raise VersionCorrupted(f"the file that arrived is {digest}, version {number} is {expected}")
            return partial.replace(destination)
        finally:
            partial.unlink(missing_ok=True)

    def purge_version(self, model: str, number: int) -> Version:
        """Destroy a version's weights; its manifest and digest stay."""
        return self._connection.parsed(Version, self._connection.request("POST", f"{_path(model, number)}/purge"))

    def delete_guard(self, model: str, number: int) -> Version:
        """Destroy a version's guard; its classifier answers alone from then on."""
        return self._connection.parsed(Version, self._connection.request("DELETE", f"{_path(model, number)}/guard"))

    # --- forget ------------------------------------------------------------------------------------

    def forget(self, model: str, body: ForgetCreate) -> ForgetRequest:
        """Start to forget; wait for the request's `job`, then read the request again for verdict and report."""
        wanted = body.model_copy(update={"dry_run": False})
        return self._connection.parsed(ForgetRequest, self._connection.start_work(f"{_path(model)}/forget", wanted))

    def plan_forget(self, model: str, body: ForgetCreate) -> ForgetPlan:
        """What forgetting would do and cost; changes nothing."""
        wanted = body.model_copy(update={"dry_run": True}).model_dump(mode="json")
        return self._connection.parsed(
            ForgetPlan, self._connection.request("POST", f"{_path(model)}/forget", body=wanted)
        )

    def forget_requests(
        self, *, model: str | None = None, status: ForgetStatus | None = None
    ) -> Iterator[ForgetRequest]:
        """The forget requests, of one model or in one status if you say so."""
        return self._connection.pages(ForgetRequest, "/v1/forget-requests", {"model": model, "status": status})

    def forget_request(self, request_id: UUID) -> ForgetRequest:
        """One forget request, with its report once it ran."""
        return self._connection.read(ForgetRequest, f"/v1/forget-requests/{request_id}")

    # --- verifications -----------------------------------------------------------------------------

    def verify(self, model: str, number: int, body: VerifyCreate) -> Verification:
        """Start to verify what a version has forgotten; wait for its `job`, then read it again for the report."""
        return self._connection.parsed(
            Verification, self._connection.start_work(f"{_path(model, number)}/verify", body)
        )

    def verifications(
        self,
        *,
        model: str | None = None,
        version: int | None = None,
        forget_request: UUID | None = None,
        depth: Depth | None = None,
    ) -> Iterator[Verification]:
        """The verifications, those of every forget request among them."""
        request = str(forget_request) if forget_request else None
        query = {"model": model, "version": version, "forget_request": request, "depth": depth}
        return self._connection.pages(Verification, "/v1/verifications", query)

    def verification(self, verification_id: UUID) -> Verification:
        """One verification, with its report once it is completed."""
        return self._connection.read(Verification, f"/v1/verifications/{verification_id}")

    def compare(self, model: str, body: CompareCreate) -> Job:
        """Start to compare methods on one target; publishes nothing."""
        return self._connection.parsed(Job, self._connection.start_work(f"{_path(model)}/compare", body))

    def comparison(self, job: Job | UUID) -> Comparison:
        """The table of a comparison that succeeded; wait for its job first. Raises Conflict for any other job."""
        found = self.job(job.id if isinstance(job, Job) else job)
        if found.kind != "compare" or found.result is None:
            raise Conflict(f"job {found.id} of the kind {found.kind} is {found.status}; it holds no comparison")
        return Comparison.model_validate(found.result)

    def comparison_plot(self, job: Job | UUID, plot_format: Literal["svg", "png"] = "svg") -> bytes:
        """Forgetting against utility, drawn by the server."""
        job_id = job.id if isinstance(job, Job) else job
        return self._connection.request("GET", f"/v1/jobs/{job_id}/plot.{plot_format}").content

    # --- predict -----------------------------------------------------------------------------------

    def predict(
        self,
        model: str,
        inputs: Sequence[Any] | encoding.Array | bytes,
        *,
        version: int | None = None,
        task: int | None = None,
        on_forgotten: OnForgotten = "zero",
        probabilities: bool = False,
        invert: Invert = "false",
    ) -> Predictions:
        """Classify inputs with the serving version, or with one by number.

        `inputs`: a list of flat or nested lists of numbers in 0..1; a numpy array [N, …] of floats in 0..1 or of
        uint8; or the bytes of one PNG or JPEG or of a .npy file. `invert` is for images: digits are light on dark, and
        `auto` inverts an image with a light edge, such as ink on paper, and dark ink on a transparent ground.
        """
        path = f"{_path(model, version)}/predict"
        options = {"task": task, "on_forgotten": on_forgotten, "probabilities": probabilities}
        inverted = {"invert": invert} if invert != "false" else {}
        content = encoding.npy(inputs) if isinstance(inputs, encoding.Array) else inputs
        if isinstance(content, bytes):
            headers = {"Content-Type": encoding.media_type(content)}
            query = options | inverted
            answer = self._connection.request("POST", path, query=query, content=content, headers=headers)
        else:
            answer = self._connection.request("POST", path, query=inverted, body={"inputs": content, **options})
        return self._connection.parsed(Predictions, answer)

    # --- jobs --------------------------------------------------------------------------------------

    def jobs(
        self, *, status: JobStatus | None = None, kind: JobKind | None = None, model: str | None = None
    ) -> Iterator[Job]:
        """The jobs."""
        return self._connection.pages(Job, "/v1/jobs", {"status": status, "kind": kind, "model": model})

    def job(self, job_id: UUID) -> Job:
        """One job."""
        return self._connection.read(Job, f"/v1/jobs/{job_id}")

    def job_events(self, job_id: UUID, last_event_id: str | None = None) -> Iterator[following.JobEvent]:
        """A job's states as they come about; after a lost connection go on with the last event's id."""
        return following.events(self._connection, job_id, last_event_id)

    def wait_for_job(
        self, job: Job | UUID, *, on_progress: Callable[[Job], None] | None = None, patience: float = 60
    ) -> Job:
        """Wait until a job has ended well; survives a restart of the server of up to `patience` seconds.

        Raises what the job failed with, or JobCancelled. A forget request whose effect gate was missed is no failed
        job: read its verdict.
        """
        job_id = job.id if isinstance(job, Job) else job
        for state in following.follow(self._connection, job_id, patience):
            if on_progress:
                on_progress(state)
        if state.problem:
            raise error_from_problem(state.problem)
        if state.status == "cancelled":
            raise JobCancelled(f"job {job_id} was cancelled; nothing was published")
        return state

    def cancel_job(self, job_id: UUID) -> Job:
        """Ask a job to stop."""
        return self._connection.parsed(Job, self._connection.start_work(f"/v1/jobs/{job_id}/cancel"))

    # --- audit log and API keys --------------------------------------------------------------------

    def audit_events(
        self, *, model: str | None = None, event: str | None = None, forget_request: UUID | None = None
    ) -> Iterator[AuditEvent]:
        """The entries of the audit log, oldest first."""
        query = {"model": model, "event": event, "forget_request": str(forget_request) if forget_request else None}
        return self._connection.pages(AuditEvent, "/v1/audit/events", query)

    def audit_proof(self, index: int) -> AuditProof:
        """The proof that an entry is under the newest checkpoint; raises AuditEntryNotFound, CheckpointNotFound and IntegrityViolation."""
        return self._connection.read(AuditProof, f"/v1/audit/events/{index}/proof")

    def audit_consistency(self, old_size: int, size: int) -> AuditConsistency:
        """The proof that the log of `size` entries begins with that of `old_size`; raises InvalidInput and IntegrityViolation."""
        return self._connection.read(AuditConsistency, "/v1/audit/consistency", {"from": old_size, "to": size})

    def audit_checkpoint(self) -> str:
        """The newest checkpoint of the log, a signed note; raises CheckpointNotFound."""
        return self._connection.request("GET", "/v1/audit/checkpoint").text

    def audit_keys(self) -> AuditKeys:
        """The public keys of the log, as `forgettery verify certificate --keys` reads them; raises SigningKeysMissing."""
        return self._connection.read(AuditKeys, "/v1/audit/keys")

    def verify_audit_log(self) -> AuditVerification:
        """Have the server recompute the whole log; `ok` says whether every entry holds."""
        return self._connection.read(AuditVerification, "/v1/audit/verify")

    def create_api_key(self, body: ApiKeyCreate) -> ApiKeyCreated:
        """Create an API key; its secret is in this answer only."""
        wire = body.model_dump(mode="json")
        return self._connection.parsed(ApiKeyCreated, self._connection.request("POST", "/v1/api-keys", body=wire))

    def api_keys(self) -> Iterator[ApiKey]:
        """The API keys, without their secrets."""
        return self._connection.pages(ApiKey, "/v1/api-keys")

    def revoke_api_key(self, key_id: UUID) -> None:
        """Revoke an API key at once."""
        self._connection.request("DELETE", f"/v1/api-keys/{key_id}")

    # --- inside ------------------------------------------------------------------------------------

    def _download(self, path: str, destination: Path) -> str:
        sha256 = hashlib.sha256()
        with self._connection.stream(path) as response, destination.open("wb") as file:
            for part in response.iter_bytes():
                sha256.update(part)
                file.write(part)
        return f"sha256:{sha256.hexdigest()}"


def _segment(name: str) -> str:
    return quote(name, safe="")


def _path(model: str, version: int | None = None) -> str:
    path = f"/v1/models/{_segment(model)}"
    return path if version is None else f"{path}/versions/{version}"
