"""The typed client of a Forgettery server; it raises the exceptions of `app.errors` that the server raised."""

from app.client.client import Client
from app.client.jobs import JobEvent

__all__ = ["Client", "JobEvent"]
