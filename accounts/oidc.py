"""OpenID Connect: the code flow with PKCE, state and nonce. The provider is asked at most ten seconds at a time."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from joserfc.errors import JoseError
from requests import RequestException

TIMEOUT_S = 10


class ProviderProblem(Exception):
    """The provider did not answer, or its answer cannot be trusted; the text is for the person who signs in."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Who the provider says it is."""

    issuer: str
    subject: str
    username: str
    groups: list[str]


@lru_cache(maxsize=4)
def _client(issuer: str, client_id: str, client_secret: str, scope: str) -> Any:
    oauth = OAuth()
    return oauth.register(
        name="oidc",
        client_id=client_id,
        client_secret=client_secret or None,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": scope,
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_S,
            "token_endpoint_auth_method": "client_secret_basic" if client_secret else "none",
        },
    )


def _configured() -> Any:
    return _client(
        settings.HOLDFAST_OIDC_ISSUER,
        settings.HOLDFAST_OIDC_CLIENT_ID,
        settings.HOLDFAST_OIDC_CLIENT_SECRET,
        settings.HOLDFAST_OIDC_SCOPE,
    )


def start(request: HttpRequest, redirect_uri: str) -> HttpResponse:
    """Lead to the provider. Raises `ProviderProblem`."""
    try:
        client = _configured()
        _check_issuer(client.load_server_metadata())
        response: HttpResponse = client.authorize_redirect(request, redirect_uri)
    except (RequestException, OAuthError, RuntimeError, ValueError) as error:
        raise ProviderProblem("The identity provider does not answer. Try again in a minute.") from error
    return response


def finish(request: HttpRequest) -> Claims:
    """What the provider says, after every check of the code flow. Raises `ProviderProblem`."""
    try:
        client = _configured()
        _check_issuer(client.load_server_metadata())
        token = client.authorize_access_token(request)
    except (OAuthError, JoseError) as error:
        # Also a state that was used before, and a callback that nobody here asked for.
        raise ProviderProblem(
            "The identity provider refused, or its answer does not fit the question. Sign in again."
        ) from error
    except (RequestException, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ProviderProblem(
            "The identity provider gave no usable answer. Try again in a minute."
        ) from error
    info = token.get("userinfo")
    if not info or not info.get("sub"):
        raise ProviderProblem(
            "The identity provider did not say who you are (no id_token). An admin must check the client."
        )
    return Claims(
        issuer=str(info["iss"]),
        subject=str(info["sub"]),
        username=str(info.get(settings.HOLDFAST_OIDC_USERNAME_CLAIM) or ""),
        groups=_groups(info.get(settings.HOLDFAST_OIDC_GROUPS_CLAIM)),
    )


def _check_issuer(metadata: Any) -> None:
    if str(metadata.get("issuer", "")).rstrip("/") != settings.HOLDFAST_OIDC_ISSUER.rstrip("/"):
        raise ValueError("the provider names another issuer than HOLDFAST_OIDC_ISSUER")


def _groups(claim: Any) -> list[str]:
    if isinstance(claim, str):
        return claim.split()
    return [str(group) for group in claim] if isinstance(claim, list) else []
