"""Every way a request can be refused, as one tree; the first docstring line of a class is its title.

ForgetteryError
├── InvalidInput           the request itself is wrong
│   ├── InvalidShape, InvalidValue, UnreadableInput, InvalidPageToken, IdempotencyKeyReused
│   └── NotApplicable
├── MalformedRequest       not even HTTP
├── RequestTooSlow, PayloadTooLarge, MethodNotAllowed
├── UnsupportedMediaType
│   └── UnsupportedContentEncoding
├── Unauthenticated
├── Forbidden
│   ├── MissingScope, ForeignOrigin, ForeignHost
├── NotFound
│   ├── ModelNotFound, VersionNotFound, GuardNotFound, DatasetNotFound, ClassNotFound, TaskNotFound, SampleNotFound
│   └── JobNotFound, ForgetRequestNotFound, VerificationNotFound, ApiKeyNotFound
├── Conflict
│   ├── ModelExists, ClassForgotten, AlreadyForgotten, NothingLeft, NoServingVersion
│   ├── VersionRemembers, VersionServing, JobRunning, JobFinished, JobCancelled
│   ├── NothingForgotten, VerificationPending
│   └── IdempotencyKeyInUse, FirstKeyMustBeAdmin, LastAdminKey
├── Gone
│   └── VersionGone, ModelGone
├── Unavailable
│   ├── DatasetUnavailable, PredictorUnavailable, DatabaseUnavailable, StorageUnavailable, NotReady
├── IntegrityViolation     stored bytes are not what was written
│   └── VersionCorrupted, DatasetCorrupted
├── GateMissed             the result failed what it must hold; nothing was published
├── AttemptsExhausted      the process computing a job died too often
└── InternalError

Knows no HTTP: the API maps the tree to status codes, the command line to exit codes, the client back to classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldError:
    """One fault of a request body: where (an RFC 6901 JSON pointer, "" for the whole body) and what."""

    pointer: str
    detail: str


class ForgetteryError(Exception):
    """Something went wrong."""

    slug: ClassVar[str] = "forgettery-error"
    title: ClassVar[str] = "Something went wrong"
    problem: Any = None
    """The `app.contract.problems.Problem` that a server answered with; None where the error was raised in this process."""

    def __init__(self, detail: str | None = None, *, errors: list[FieldError] | None = None) -> None:
        self.detail = detail or self.title + "."
        self.errors = errors or []
        super().__init__(self.detail)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.slug = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()
        cls.title = (cls.__doc__ or cls.__name__).strip().splitlines()[0].rstrip(".")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.detail, self.errors)


def _rebuild(kind: type[ForgetteryError], detail: str, errors: list[FieldError]) -> ForgetteryError:
    return kind(detail, errors=errors)


# --- the request itself is wrong ---------------------------------------------------------------


class InvalidInput(ForgetteryError):
    """The request is not valid."""


class InvalidShape(InvalidInput):
    """An input does not have the shape that the model expects."""


class InvalidValue(InvalidInput):
    """An input holds a value outside its range."""


class UnreadableInput(InvalidInput):
    """The body could not be read as what its content type says."""


class InvalidPageToken(InvalidInput):
    """The page token does not belong to this list."""


class IdempotencyKeyReused(InvalidInput):
    """The idempotency key was used before with another request."""


class NotApplicable(InvalidInput):
    """The method cannot be applied to this model or target."""


class MalformedRequest(ForgetteryError):
    """What was received is no HTTP request."""


class RequestTooSlow(ForgetteryError):
    """The request did not arrive in time."""


class PayloadTooLarge(ForgetteryError):
    """The body is larger than this server accepts."""


class UnsupportedMediaType(ForgetteryError):
    """The body is of a kind that is not read here."""


class UnsupportedContentEncoding(UnsupportedMediaType):
    """The body is encoded in a way that is not decoded here."""


class MethodNotAllowed(ForgetteryError):
    """This path does not take this method."""


# --- who asks ----------------------------------------------------------------------------------


class Unauthenticated(ForgetteryError):
    """A valid API key is needed."""


class Forbidden(ForgetteryError):
    """This is not allowed."""


class MissingScope(Forbidden):
    """The API key lacks a scope that this needs."""


class ForeignOrigin(Forbidden):
    """Without an API key, requests from other origins are refused."""


class ForeignHost(Forbidden):
    """Without an API key, only loopback host names are answered."""


# --- what is not there -------------------------------------------------------------------------


class NotFound(ForgetteryError):
    """There is nothing here."""


class ModelNotFound(NotFound):
    """There is no model of this name."""


class VersionNotFound(NotFound):
    """The model has no version of this number."""


class DatasetNotFound(NotFound):
    """There is no data set of this name."""


class ClassNotFound(NotFound):
    """The model has no such class."""


class TaskNotFound(NotFound):
    """The model has no such task."""


class SampleNotFound(NotFound):
    """The data set has no such training sample."""


class JobNotFound(NotFound):
    """There is no job of this id."""


class AuditEntryNotFound(NotFound):
    """The audit log has no such entry."""


class CheckpointNotFound(NotFound):
    """There is no such checkpoint of the audit log."""


class ForgetRequestNotFound(NotFound):
    """There is no forget request of this id."""


class VerificationNotFound(NotFound):
    """There is no verification of this id."""


class GuardNotFound(NotFound):
    """The version has no guard."""


class ApiKeyNotFound(NotFound):
    """There is no API key of this id."""


# --- what the present state does not allow -----------------------------------------------------


class Conflict(ForgetteryError):
    """The present state does not allow this."""


class ModelExists(Conflict):
    """A model of this name exists or existed."""


class ClassForgotten(Conflict):
    """The class was forgotten and may not be learned again."""


class AlreadyForgotten(Conflict):
    """The target was forgotten before, or a queued request will forget it."""


class NothingLeft(Conflict):
    """No class would remain."""


class ClaimOutOfReach(Conflict):
    """The version could not claim as much as is demanded."""


class NoServingVersion(Conflict):
    """The model has no serving version yet."""


class SigningKeysMissing(Conflict):
    """The server has no signing keys."""


class VersionRemembers(Conflict):
    """The version still knows what was forgotten."""


class VersionServing(Conflict):
    """The version is the serving one."""


class JobRunning(Conflict):
    """A job that publishes a version of this model is running."""


class JobFinished(Conflict):
    """The job has ended."""


class JobCancelled(Conflict):
    """The job was cancelled before it ended."""


class NothingForgotten(Conflict):
    """The version has forgotten nothing that could be verified."""


class VerificationPending(Conflict):
    """The version is kept until a verification of what it forgot has ended."""


class IdempotencyKeyInUse(Conflict):
    """The first request with this idempotency key is still running."""


class FirstKeyMustBeAdmin(Conflict):
    """The first API key must hold the admin scope."""


class LastAdminKey(Conflict):
    """Without this API key nobody could administer the server."""


# --- what was there ----------------------------------------------------------------------------


class Gone(ForgetteryError):
    """This is no longer available."""


class VersionGone(Gone):
    """The version is quarantined or purged."""


class ModelGone(Gone):
    """The model was deleted."""


# --- what cannot be had just now ---------------------------------------------------------------


class Unavailable(ForgetteryError):
    """This cannot be done just now."""


class DatasetUnavailable(Unavailable):
    """The data set's files are not here and could not be downloaded."""


class PredictorUnavailable(Unavailable):
    """The predictor process does not answer."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""


class StorageUnavailable(Unavailable):
    """The store cannot be written."""


class NotReady(Unavailable):
    """The server is not ready."""


# --- what must never happen --------------------------------------------------------------------


class IntegrityViolation(ForgetteryError):
    """Stored bytes are not what was written."""


class VersionCorrupted(IntegrityViolation):
    """The version's files do not match their digests."""


class DatasetCorrupted(IntegrityViolation):
    """The data set's files do not match their digests."""


class GateMissed(ForgetteryError):
    """The result does not hold what it must; nothing was published."""


class AttemptsExhausted(ForgetteryError):
    """The process computing this job died too often."""


class InternalError(ForgetteryError):
    """An unexpected error; the log has the details."""


def _subtree(kind: type[ForgetteryError]) -> list[type[ForgetteryError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _subtree(child))]


def errors_by_slug() -> dict[str, type[ForgetteryError]]:
    """Every error class by its slug, in the order of the tree."""
    return {kind.slug: kind for kind in _subtree(ForgetteryError)}
