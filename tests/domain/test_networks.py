"""What counts as one address, however a proxy or a socket writes it."""

from __future__ import annotations

import pytest

from app.domain.networks import network_of, plain_address

# What is written: the address, and what it counts as.
ADDRESSES = {
    "8.8.4.4": ("8.8.4.4", "8.8.4.4"),
    "8.8.4.4:1000": ("8.8.4.4", "8.8.4.4"),
    " 8.8.4.4:1001 ": ("8.8.4.4", "8.8.4.4"),
    "::ffff:8.8.4.4": ("8.8.4.4", "8.8.4.4"),
    "[::FFFF:8.8.4.4]:443": ("8.8.4.4", "8.8.4.4"),
    "::ffff:808:404": ("8.8.4.4", "8.8.4.4"),
    "2001:db8:7:7::1": ("2001:db8:7:7::1", "2001:db8:7:7::/64"),
    "2001:0DB8:7:7:ffff:ffff:ffff:ffff": ("2001:db8:7:7:ffff:ffff:ffff:ffff", "2001:db8:7:7::/64"),
    "[2001:db8:7:7::2]": ("2001:db8:7:7::2", "2001:db8:7:7::/64"),
    "[2001:db8:7:7::2]:50000": ("2001:db8:7:7::2", "2001:db8:7:7::/64"),
    "2001:db8:7:8::1": ("2001:db8:7:8::1", "2001:db8:7:8::/64"),
    "fe80::1%eth0": ("fe80::1", "fe80::/64"),
    "::1": ("::1", "::/64"),
}
NOT_ADDRESSES = (
    "",
    "unknown",
    "_hidden",
    "8.8.4",
    "8.8.4.4:port",
    "2001:db8::1:50000:x",
    "[8.8.4.4",
    "1.2.3.4, 5.6.7.8",
)


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address(text: str) -> None:
    assert (plain_address(text), network_of(text)) == ADDRESSES[text]


@pytest.mark.parametrize("text", NOT_ADDRESSES)
def test_what_is_no_address_counts_as_one(text: str) -> None:
    assert plain_address(text) == network_of(text) == ""
