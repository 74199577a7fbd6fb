"""System checks: Holdfast does not start with sign-in settings that would let anybody in."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from accounts.addresses import valid_network
from accounts.groups import BadMapping, parse


@register("security")
def check_proxy_sign_in(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E001 to E003: a header that signs people in needs a list of who may send it."""
    if settings.HOLDFAST_PROXY_USER_HEADER and not settings.HOLDFAST_PROXY_ADDRESSES:
        return [
            Error(
                "HOLDFAST_PROXY_USER_HEADER is set, but HOLDFAST_PROXY_ADDRESSES is not: anybody could sign in as anybody.",
                hint="Set HOLDFAST_PROXY_ADDRESSES to the addresses of the proxy, such as 10.0.3.7 or 10.0.3.0/28.",
                id="accounts.E001",
            )
        ]
    found: list[CheckMessage] = []
    for name in ("HOLDFAST_PROXY_ADDRESSES", "HOLDFAST_TRUSTED_PROXIES"):
        for network in getattr(settings, name):
            if not valid_network(network):
                found.append(
                    Error(
                        f"{name} holds {network!r}, which is not an address or a range.", id="accounts.E002"
                    )
                )
            elif network.endswith("/0"):
                found.append(
                    Error(f"{name} holds {network!r}, which trusts the whole world.", id="accounts.E003")
                )
    return found


@register("security")
def check_group_roles(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E004: every entry of HOLDFAST_GROUP_ROLES makes sense."""
    try:
        parse(settings.HOLDFAST_GROUP_ROLES)
    except BadMapping as problem:
        return [Error(f"HOLDFAST_GROUP_ROLES: {problem}", id="accounts.E004")]
    return []


@register("security")
def check_oidc(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """E005, E006: a provider needs a client, and is reached over TLS."""
    issuer = settings.HOLDFAST_OIDC_ISSUER
    if not issuer:
        return []
    found: list[CheckMessage] = []
    if not settings.HOLDFAST_OIDC_CLIENT_ID:
        found.append(
            Error("HOLDFAST_OIDC_ISSUER is set, but HOLDFAST_OIDC_CLIENT_ID is not.", id="accounts.E005")
        )
    if settings.HOLDFAST_TLS and not issuer.startswith("https://"):
        found.append(Error("HOLDFAST_OIDC_ISSUER must begin with https://.", id="accounts.E006"))
    return found
