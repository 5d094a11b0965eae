"""Tests reach no other machine and read no setting of whoever runs them."""

from __future__ import annotations

import os
import socket

import pytest


def test_other_machines_cannot_be_reached() -> None:
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family) as connecting:
            with pytest.raises(RuntimeError, match="loopback"):
                connecting.connect((address, 80))
            with pytest.raises(RuntimeError, match="loopback"):
                connecting.connect_ex((address, 80))


def test_loopback_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        socket.create_connection(listening.getsockname()).close()


def test_the_environment_holds_no_settings() -> None:
    assert [name for name in os.environ if name.startswith("FORGETTERY_")] == []
