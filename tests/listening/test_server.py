"""Addresses of servers."""

import pytest

from audiometamer.listening.server import address_at


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")])
def test_addresses_are_as_browsers_take_them(host, address):
    assert address_at(host, 80) == address
