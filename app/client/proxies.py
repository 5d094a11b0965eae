"""The proxy on the way to a server: none for this machine, else the one that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.request import getproxies, proxy_bypass

import httpx

from app.addresses import is_loopback, without_credentials
from app.errors import InvalidInput


def proxy_for(server: httpx.URL) -> httpx.Proxy | None:
    """The proxy to reach the server through, its credentials apart from its `url`; raises InvalidInput for no address.

    A proxy cannot reach our own machine for us, so loopback needs no NO_PROXY.
    """
    if _is_here(server.host) or proxy_bypass(server.netloc.decode()):
        return None
    proxies = getproxies()
    address = proxies.get(server.scheme) or proxies.get("all")
    return _proxy(address if "://" in address else f"http://{address}") if address else None


def _is_here(host: str) -> bool:
    """Whether an address leads to this machine: loopback, or the one that stands for all of a server's own addresses."""
    return host in {"0.0.0.0", "::"} or is_loopback(host.removesuffix("."))  # noqa: S104  asked for, not listened on


def _proxy(address: str) -> httpx.Proxy | None:
    shown = without_credentials(address)
    try:
        proxy = httpx.Proxy(address)
    except (httpx.InvalidURL, ValueError):
        raise InvalidInput(
            f"the proxy {shown} of the environment is no http or https URL; correct it, or set NO_PROXY"
        ) from None
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise InvalidInput(f"the proxy {shown} of the environment needs `pip install 'httpx[socks]'`; or set NO_PROXY")
    return proxy
