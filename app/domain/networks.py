"""IP addresses of clients, as proxies and sockets write them."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

# `8.8.4.4:1000` and `[2001:db8::1]:1000`: some balancers append the port.
_WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::[0-9]*)?|([^:\[\]]+):[0-9]*")


@lru_cache(maxsize=128)
def plain_address(text: str) -> str:
    """An address without a port or a zone, IPv4 as such where it is mapped into IPv6; "" for anything else."""
    address = _read(text)
    return str(address) if address else ""


def network_of(text: str) -> str:
    """What counts as one address: of IPv6 its /64 network, which one customer has whole.

    Everything that is not an address counts as one, so that nobody gets a count of their own by writing nonsense.
    """
    address = _read(text)
    return str(IPv6Network((int(address) >> 64 << 64, 64))) if isinstance(address, IPv6Address) else plain_address(text)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    match = _WITH_PORT.fullmatch(text.strip())
    host = (match[1] or match[2]) if match else text.strip()
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
