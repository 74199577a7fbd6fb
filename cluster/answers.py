"""Turns an error answer of the API server into one of our errors (section B3 of the domain facts tells them apart)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from cluster.base import Ref
from cluster.connection import Answer
from cluster.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Denied,
    DeniedBy,
    EngineDown,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    QuotaExceeded,
    Unavailable,
    Unsupported,
)

WEBHOOK_DENIED = re.compile(r'^admission webhook "(?P<webhook>[^"]*)" denied the request')
NATIVE_DENIED = re.compile(
    r"ValidatingAdmissionPolicy '(?P<policy>[^']*)' with binding '(?P<binding>[^']*)' denied request"
)
KYVERNO_BLOCKED = re.compile(r"was blocked due to the following policies\s+(?P<policy>[\w.-]+):")
KYVERNO_FAILED = re.compile(r"Policy (?P<policy>[\w.-]+) failed:")
CALL_FAILED = re.compile(r'failed calling webhook "(?P<webhook>[^"]*)"')
CANNOT = re.compile(
    r'cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)"| at the cluster scope)?'
)
UNCHANGED = "Nothing was changed."


class Cause(msgspec.Struct):
    reason: str | None = None
    message: str | None = None
    field: str | None = None


class Details(msgspec.Struct):
    name: str | None = None
    kind: str | None = None
    group: str | None = None
    causes: list[Cause] | None = None


class Status(msgspec.Struct):
    """metav1.Status, as far as we read it."""

    kind: str | None = None
    reason: str | None = None
    message: str | None = None
    code: int | None = None
    details: Details | None = None

    @property
    def causes(self) -> tuple[str, ...]:
        causes = (self.details.causes if self.details else None) or []
        return tuple(f"{c.field}: {c.message}" if c.field else c.message or "" for c in causes)

    def has_cause(self, reason: str) -> bool:
        causes = (self.details.causes if self.details else None) or []
        return any(c.reason == reason for c in causes)


@dataclass(frozen=True)
class Asked:
    """What was asked, for the words of an error."""

    verb: str
    ref: Ref

    def __str__(self) -> str:
        return f"{self.verb} {self.ref}"


def status_of(body: bytes) -> Status:
    """The Status in `body`; one that holds the text where there is none."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except msgspec.MsgspecError:
        status = Status()
    if status.kind != "Status":
        return Status(message=body[:2000].decode(errors="replace").strip())
    return status


def error_of(answer: Answer, asked: Asked) -> ClusterError:
    """The typed error for an answer of 400 or more (or a redirect, which we never follow)."""
    status = status_of(answer.body)
    message = status.message or ""
    denied = _denied(answer.status, status, message, asked)
    if denied:
        return denied
    maker = _BY_CODE.get(answer.status)
    if maker:
        return maker(status, message, asked)
    if answer.status >= 500:
        return _unavailable(answer.status, message, asked)
    return Invalid(
        f"The cluster answered {answer.status} to {asked}: {message}",
        safe=UNCHANGED,
        next="Read the answer; the request has to change.",
        causes=status.causes,
        status=answer.status,
    )


def _denied(code: int, status: Status, message: str, asked: Asked) -> ClusterError | None:
    call_failed = CALL_FAILED.search(message)
    if call_failed:
        return EngineDown(
            f"Could not {asked}: the admission webhook {call_failed['webhook']} does not answer, and fails closed.",
            safe=UNCHANGED,
            next="Bring the policy engine back, then retry.",
            webhook=call_failed["webhook"],
            command="kubectl get pods -n kyverno",
        )
    found = denial(message)
    if not found:
        return None
    by, policy = found
    return Denied(
        f"The cluster refuses to {asked}: {message}",
        safe=UNCHANGED,
        next=f"See what {policy or 'the rule'} demands; the request or the rule has to change.",
        by=by,
        policy=policy,
        message=message,
        status=code,
    )


def denial(message: str) -> tuple[DeniedBy, str] | None:
    """Which mechanism denied, and the name of its policy or webhook; None when the message is no denial by admission."""
    native = NATIVE_DENIED.search(message)
    if native:
        return "native-policy", native["policy"]
    webhook = WEBHOOK_DENIED.match(message)
    if webhook:
        blocked = KYVERNO_BLOCKED.search(message)
        if blocked:
            return "kyverno-cluster-policy", blocked["policy"]
        failed = KYVERNO_FAILED.search(message)
        if failed and "kyverno" in webhook["webhook"]:
            return "kyverno-validating-policy", failed["policy"]
        return "webhook", webhook["webhook"]
    if "violates PodSecurity" in message:
        return "pod-security", message.split("violates PodSecurity", 1)[1].strip().split('"')[1:2][
            0
        ] if '"' in message else ""
    return None


def _bad_request(status: Status, message: str, asked: Asked) -> ClusterError:
    if "does not support dry run" in message:
        return Unsupported(
            f"Could not {asked} as a dry run: {message}",
            safe=UNCHANGED,
            next="A webhook cannot take dry runs.",
            status=400,
        )
    return _invalid(400, status, message, asked)


def _unauthorized(status: Status, message: str, asked: Asked) -> ClusterError:
    return Forbidden(
        f"The cluster does not accept our credentials: {message}",
        safe=UNCHANGED,
        next="Renew the token or certificate of the kubeconfig that Holdfast uses.",
        rule="sign in",
        command="kubectl auth whoami",
    )


def _forbidden(status: Status, message: str, asked: Asked) -> ClusterError:
    cannot = CANNOT.search(message)
    if cannot:
        return _missing_rule(cannot, asked)
    if "exceeded quota" in message:
        return QuotaExceeded(
            f"A quota refuses to {asked}: {message}",
            safe=UNCHANGED,
            next="Raise the quota or free some of it, then retry.",
            status=403,
        )
    if status.has_cause("NamespaceTerminating"):
        return Invalid(
            f"Could not {asked}: the namespace is being deleted.",
            safe=UNCHANGED,
            next="Choose another namespace, or wait until it is gone and make it again.",
            causes=(message,),
            status=403,
        )
    return Denied(
        f"The cluster refuses to {asked}: {message}",
        safe=UNCHANGED,
        next="A built-in admission rule (limits, quota, policy) says no; the request has to change.",
        by="webhook" if "webhook" in message else "built-in",
        policy="",
        message=message,
        status=403,
    )


def _missing_rule(cannot: re.Match[str], asked: Asked) -> Forbidden:
    resource = cannot["resource"] + (f".{cannot['group']}" if cannot["group"] else "")
    where = f" in namespace {cannot['namespace']}" if cannot["namespace"] else ""
    return Forbidden(
        f"Holdfast may not {asked}: the rule '{cannot['verb']} {resource}'{where} is missing.",
        safe=UNCHANGED,
        next="Grant the rule; docs/reference/rbac.md lists what each part needs.",
        rule=f"{cannot['verb']} {resource}{where}",
        command=f"kubectl auth can-i {cannot['verb']} {resource}"
        + (f" -n {cannot['namespace']}" if cannot["namespace"] else ""),
    )


# Every API server serves these: a 404 that is no Status comes from something between us and it.
API_GROUPS = Ref("", "API groups", "", "")
_ALWAYS_SERVED = frozenset({"v1", "apps/v1", "batch/v1", "storage.k8s.io/v1"})


def is_ambiguous(answer: Answer, asked: Asked) -> bool:
    """A 404 that is no Status for a kind that need not be served: the API server answers so where it is not, and so does a proxy."""
    always = asked.ref.api_version in _ALWAYS_SERVED or asked.ref == API_GROUPS
    return answer.status == 404 and not always and status_of(answer.body).kind != "Status"


def not_the_server(message: str, asked: Asked) -> Unavailable:
    """The error for a 404 that something between us and the API server gave."""
    return Unavailable(
        f"What answers {asked} is not the API server: 404 {message[:200]}",
        safe="Nothing is concluded from it.",
        next="Holdfast asks again by itself; check what stands between it and the API server when this lasts.",
        status=404,
    )


def _not_found(status: Status, message: str, asked: Asked) -> ClusterError:
    if status.kind != "Status" and (asked.ref.api_version in _ALWAYS_SERVED or asked.ref == API_GROUPS):
        return not_the_server(message, asked)
    if not (status.details and status.details.name):
        return Unsupported(
            f"Could not {asked}: the cluster does not serve {asked.ref.api_version} {asked.ref.kind}.",
            safe=UNCHANGED,
            next="Install what serves this kind, or do without it.",
            status=404,
        )
    return NotFound(
        f"Could not {asked}: {message}.",
        safe=UNCHANGED,
        next="Look whether it was deleted or renamed.",
        status=404,
    )


def _conflict(status: Status, message: str, asked: Asked) -> ClusterError:
    if status.reason == "AlreadyExists":
        return AlreadyExists(
            f"Could not {asked}: it is there already.",
            safe=UNCHANGED,
            next="Compare what is there with what was meant.",
            existing=asked.ref,
            labels={},
            annotations={},
        )
    return Conflict(
        f"Could not {asked}: it changed meanwhile, or is another object of that name. {message}",
        safe=UNCHANGED,
        next="It is read again before anything else is tried.",
        status=409,
    )


def _gone(status: Status, message: str, asked: Asked) -> ClusterError:
    return Gone(f"Too old to continue: {message}", safe=UNCHANGED, next="The list is read again.", status=410)


def _unprocessable(status: Status, message: str, asked: Asked) -> ClusterError:
    if any("metadata.uid" in cause for cause in status.causes) or "metadata.uid" in message:
        return _conflict(Status(), "The UID differs.", asked)
    return _invalid(422, status, message, asked)


def _invalid(code: int, status: Status, message: str, asked: Asked) -> Invalid:
    return Invalid(
        f"The cluster finds the request to {asked} not valid: {message}",
        safe=UNCHANGED,
        next="The request has to change; the causes name the fields.",
        causes=status.causes or (message,),
        status=code,
    )


def _unavailable(code: int, message: str, asked: Asked) -> Unavailable:
    # 429 and 503 are given before the request is carried out; other codes may follow a change that was made.
    maybe_done = code not in {429, 503} and asked.verb not in {"get", "list", "watch", "probe"}
    return Unavailable(
        f"The cluster could not {asked}: {code} {message}",
        safe="The change may have been made; nothing is repeated blindly." if maybe_done else UNCHANGED,
        next="Holdfast asks again by itself; check the API server when this lasts.",
        status=code,
        maybe_done=maybe_done,
    )


def _busy(status: Status, message: str, asked: Asked) -> ClusterError:
    return _unavailable(429, message, asked)


_BY_CODE = {
    400: _bad_request,
    401: _unauthorized,
    403: _forbidden,
    404: _not_found,
    409: _conflict,
    410: _gone,
    422: _unprocessable,
    429: _busy,
}
