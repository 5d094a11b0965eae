"""HTTP to one server: refusals come back as exceptions, a lost connection as `Unavailable`, pages as one iteration."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from app import __version__
from app.addresses import without_credentials
from app.client.problems import error_from_response
from app.client.proxies import proxy_for
from app.contract.lists import Page
from app.errors import IdempotencyKeyInUse, InvalidInput, Unavailable
from app.key_text import sendable

Shape = TypeVar("Shape", bound=BaseModel)
Query = Mapping[str, str | int | bool | None]

_PAUSES = (0.2, 0.5, 1.0)
"""Seconds between the attempts of a request that starts work."""


class Connection:
    """An HTTP connection to one server."""

    def __init__(self, url: str, key: str | None, timeout: float, transport: httpx.BaseTransport | None) -> None:
        headers = {"User-Agent": f"forgettery/{__version__}"} | _authorization(key)
        self.url = without_credentials(url.rstrip("/"))
        self._through = ""
        with self._named_faults():
            base = httpx.URL(url.rstrip("/"))
            proxy = None if transport else proxy_for(base)
            if proxy:
                self._through = f" through the proxy {proxy.url} (which NO_PROXY can leave out)"
            # The environment's proxies are looked up above, so that messages name the one that is used; its
            # certificates count as ever.
            self._http = httpx.Client(
                base_url=base,
                headers=headers,
                timeout=timeout,
                transport=transport,
                proxy=proxy,
                verify=httpx.create_ssl_context(),
                trust_env=False,
            )

    def close(self) -> None:
        """Close the pooled sockets."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to one request; raises the server's exception if it is no success."""
        with self._named_faults():
            response = self._http.request(
                method, path, params=_present(query), json=body, content=content, headers=headers
            )
        if not response.is_success:
            raise error_from_response(response, self._through)
        return response

    def start_work(self, path: str, body: BaseModel | None = None) -> httpx.Response:
        """POST with an idempotency key of its own, sent again if the connection is lost: the work starts once."""
        headers = {"Idempotency-Key": str(uuid4())}
        wire = body.model_dump(mode="json") if body else None
        for pause in _PAUSES:
            try:
                return self.request("POST", path, body=wire, headers=headers)
            except IdempotencyKeyInUse:
                time.sleep(pause)
            except Unavailable as error:
                if error.problem:  # the server itself answered: it started nothing, and says when to come back
                    raise
                time.sleep(pause)
        return self.request("POST", path, body=wire, headers=headers)

    def read(self, kind: type[Shape], path: str, query: Query | None = None) -> Shape:
        """GET one resource."""
        return self.parsed(kind, self.request("GET", path, query=query))

    def pages(self, kind: type[Shape], path: str, query: Query | None = None) -> Iterator[Shape]:
        """Every item of a list, page after page, as they are asked for."""
        token: str | None = None
        while True:
            page = self.read(Page[Any], path, {**(query or {}), "page_token": token})
            for item in page.items:
                yield self._understood(kind, item)
            token = page.next_page_token
            if token is None:
                return

    @contextmanager
    def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, read_timeout: float = 60
    ) -> Iterator[httpx.Response]:
        """GET an answer whose body is read as it comes, with at most `read_timeout` seconds between two parts."""
        timeout = httpx.Timeout(self._http.timeout.connect, read=read_timeout)
        with self._named_faults(), self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if not response.is_success:
                response.read()
                raise error_from_response(response, self._through)
            yield response

    def parsed(self, kind: type[Shape], response: httpx.Response) -> Shape:
        """The body as the shape that the contract gives it."""
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise self._not_ours() from error

    def _understood(self, kind: type[Shape], item: object) -> Shape:
        try:
            return kind.model_validate(item)
        except ValidationError as error:
            raise self._not_ours() from error

    def _not_ours(self) -> Unavailable:
        return Unavailable(
            f"{self.url}{self._through} does not answer as a Forgettery server of this version does; check the URL"
        )

    @contextmanager
    def _named_faults(self) -> Iterator[None]:
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise InvalidInput(f"{self.url!r} is no http or https URL") from error
        except httpx.TimeoutException as error:
            raise Unavailable(
                f"{self.url}{self._through} did not answer in time; try again or raise the timeout"
            ) from error
        except httpx.TransportError as error:
            raise Unavailable(
                f"no server answers at {self.url}{self._through} ({error}); start one with `forgettery serve` or check the URL"
            ) from error


def _authorization(key: str | None) -> dict[str, str]:
    try:
        trimmed = sendable(key or "")
    except ValueError as error:
        raise InvalidInput(f"{error} (it was given as `key`, `--key` or FORGETTERY_KEY)") from None
    return {"Authorization": f"Bearer {trimmed}"} if trimmed else {}


def _present(query: Query | None) -> dict[str, str | int | bool]:
    return {name: value for name, value in (query or {}).items() if value is not None}
