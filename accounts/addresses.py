"""Where a request comes from, and whose word about it counts."""

import ipaddress
from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest


def within(address: str, networks: Iterable[str]) -> bool:
    """Whether `address` lies in any of `networks` (single addresses, or ranges such as 10.0.0.0/8)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in ipaddress.ip_network(network, strict=False) for network in networks)


def valid_network(network: str) -> bool:
    """Whether `network` is an address or a range."""
    try:
        ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
    return True


def peer(request: HttpRequest) -> str:
    """The address at the other end of the connection."""
    return str(request.META.get("REMOTE_ADDR", ""))


def client_address(request: HttpRequest) -> str:
    """The address of the person's machine: the nearest one in X-Forwarded-For that is not a trusted proxy.

    The header counts only when the connection itself comes from a trusted proxy.
    """
    address = peer(request)
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while hops and within(address, settings.HOLDFAST_TRUSTED_PROXIES):
        nearest = hops.pop()
        if not valid_network(nearest) or "/" in nearest:
            break
        address = nearest
    return address
