"""Which addresses a webhook may call.

Invariant: an address is judged by where a packet to it would go: one that carries an IPv4 address within (mapped, 6to4,
Teredo, NAT64) is public only if that one is public too. Metadata services live at link-local and private addresses.
"""

import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import anyio

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host and port, the best first.

Raises:
    OSError, UnicodeError: the name has none.
"""
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_LOW_32_BITS: Final = 0xFFFF_FFFF


async def resolve(host: str, port: int) -> Sequence[str]:
    """By this host's own resolver."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def is_public(address: str) -> bool:
    """Whether an address is one of the internet's; one that cannot be read is not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return all(each.is_global and not each.is_multicast for each in _meant(parsed))


def _meant(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address where a packet ends up, and where one is carried within another, both."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _NAT64):
        yield IPv4Address(int(address) & _LOW_32_BITS)
