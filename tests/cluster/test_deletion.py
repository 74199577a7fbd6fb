"""A probe can never become a real deletion: both are held to the byte."""

import pytest

from cluster.base import Ref
from cluster.errors import Conflict, Denied, Unavailable
from cluster.transport import Call
from tests.cluster.recording import status

CLAIM = Ref("v1", "PersistentVolumeClaim", "media", "data", "uid-1")
KYVERNO = (
    'admission webhook "validate.kyverno.svc-fail" denied the request: \n\n'
    "resource PersistentVolumeClaim/media/data was blocked due to the following policies \n\n"
    "prevent-protected-pvc-deletion:\n  protect: 'Protected claims are not deleted.'\n"
)
VPOL = (
    'admission webhook "vpol.validate.kyverno.svc-fail-finegrained-keep" denied the request: '
    "Policy keep failed: Protected claims are not deleted."
)
NATIVE = (
    "persistentvolumeclaims \"data\" is forbidden: ValidatingAdmissionPolicy 'keep-claims' with binding "
    "'keep-claims' denied request: Protected claims are not deleted."
)
RBAC = (
    'persistentvolumeclaims "data" is forbidden: User "prober" cannot delete resource "persistentvolumeclaims" '
    'in API group "" in the namespace "media"'
)


def test_a_probe_is_a_dry_run_by_query_and_has_no_body(recorder, tmp_path):
    server = recorder((200, {}))
    server.cluster(tmp_path).probe_delete("media", "data")
    (request,) = server.requests
    assert request.line == "DELETE /api/v1/namespaces/media/persistentvolumeclaims/data?dryRun=All HTTP/1.1"
    assert request.body == b""
    assert request.header("content-length") in (None, "0")
    assert request.header("transfer-encoding") is None
    assert request.header("content-type") is None


def test_a_probe_is_sent_once_even_when_the_connection_breaks(recorder, tmp_path):
    server = recorder(None)
    assert server.cluster(tmp_path).probe_delete("media", "data").verdict == "unknown"
    assert len(server.requests) == 1


@pytest.mark.parametrize(("namespace", "name"), [("", "data"), ("media", ""), ("", "")])
def test_a_probe_without_a_name_is_not_sent_since_it_would_name_the_collection(
    recorder, tmp_path, namespace, name
):
    server = recorder((200, {}))
    with pytest.raises(ValueError, match="needs a namespace and a name"):
        server.cluster(tmp_path).probe_delete(namespace, name)
    assert server.requests == []


def test_a_probe_keeps_odd_names_inside_the_path(recorder, tmp_path):
    server = recorder((200, {}))
    server.cluster(tmp_path).probe_delete("media", "data?x=1/../../y")
    assert server.requests[0].line.endswith(
        "/persistentvolumeclaims/data%3Fx%3D1%2F..%2F..%2Fy?dryRun=All HTTP/1.1"
    )


@pytest.mark.parametrize(
    ("answer", "verdict", "by", "policy"),
    [
        ((200, {}), "unprotected", "", ""),
        (status(400, "", KYVERNO), "protected", "kyverno-cluster-policy", "prevent-protected-pvc-deletion"),
        (status(400, "", VPOL), "protected", "kyverno-validating-policy", "keep"),
        (status(422, "Invalid", NATIVE), "protected", "native-policy", "keep-claims"),
        (status(403, "Forbidden", NATIVE), "protected", "native-policy", "keep-claims"),
        (
            status(403, "Forbidden", 'admission webhook "guard.example.org" denied the request: no'),
            "protected",
            "webhook",
            "guard.example.org",
        ),
        (
            status(400, "BadRequest", 'admission webhook "x.example.org" does not support dry run'),
            "unknown",
            "",
            "",
        ),
        (
            status(
                500,
                "InternalError",
                'Internal error occurred: failed calling webhook "validate.kyverno.svc-fail": failed to call webhook: '
                'Post "https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s": no endpoints available',
            ),
            "engine-down",
            "webhook",
            "validate.kyverno.svc-fail",
        ),
        (status(403, "Forbidden", RBAC, name="data"), "forbidden", "", ""),
        (status(401, "Unauthorized", "Unauthorized"), "forbidden", "", ""),
        (status(404, "NotFound", 'persistentvolumeclaims "data" not found', name="data"), "gone", "", ""),
        (status(404, "NotFound", "the server could not find the requested resource"), "unknown", "", ""),
        (status(409, "Conflict", "Precondition failed"), "unknown", "", ""),
        (
            status(403, "Forbidden", 'persistentvolumeclaims "data" is forbidden: some plugin says no'),
            "unknown",
            "",
            "",
        ),
        (status(429, "TooManyRequests", "slow down"), "unknown", "", ""),
        ((502, b"<html>bad gateway</html>"), "unknown", "", ""),
        ((302, b""), "unknown", "", ""),
    ],
)
def test_the_answers_to_a_probe_are_told_apart(recorder, tmp_path, answer, verdict, by, policy):
    found = recorder(answer).cluster(tmp_path).probe_delete("media", "data")
    assert (found.verdict, found.by, found.policy, found.status) == (verdict, by, policy, answer[0])


def test_a_deletion_names_uid_and_version_in_its_body_and_has_no_query(recorder, tmp_path):
    server = recorder((200, {}))
    server.cluster(tmp_path).delete(CLAIM, resource_version="41")
    (request,) = server.requests
    assert request.line == "DELETE /api/v1/namespaces/media/persistentvolumeclaims/data HTTP/1.1"
    assert request.body == (
        b'{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"resourceVersion":"41","uid":"uid-1"},'
        b'"propagationPolicy":"Background"}'
    )
    assert request.header("content-type") == "application/json"


@pytest.mark.parametrize(
    "ref",
    [
        Ref("v1", "PersistentVolumeClaim", "media", "data"),
        Ref("v1", "PersistentVolumeClaim", "media", "", "uid-1"),
        Ref("v1", "PersistentVolumeClaim", "", "data", "uid-1"),
        Ref("v1", "Namespace", "", "media", "uid-1"),
        Ref("v1", "PersistentVolume", "", "pv-1", "uid-1"),
        Ref("apps/v1", "StatefulSet", "media", "web", "uid-1"),
    ],
)
def test_a_deletion_without_name_uid_and_namespace_or_of_another_kind_is_never_sent(recorder, tmp_path, ref):
    server = recorder((200, {}))
    with pytest.raises(ValueError, match=r"needs|never deletes"):
        server.cluster(tmp_path).delete(ref)
    assert server.requests == []


def test_a_deletion_is_sent_once_and_says_that_it_may_have_happened(recorder, tmp_path):
    server = recorder(None)
    calls: list[Call] = []
    with pytest.raises(Unavailable) as raised:
        server.cluster(tmp_path).recording(calls.append).delete(CLAIM)
    assert raised.value.maybe_done
    assert len(server.requests) == 1
    assert [call.stage for call in calls] == ["intent", "unknown"]


def test_a_deletion_that_is_denied_or_of_another_object_raises_what_it_is(recorder, tmp_path):
    server = recorder(
        status(400, "", KYVERNO), status(409, "Conflict", "Precondition failed: UID in precondition")
    )
    cluster = server.cluster(tmp_path)
    with pytest.raises(Denied) as denied:
        cluster.delete(CLAIM)
    assert denied.value.by == "kyverno-cluster-policy"
    with pytest.raises(Conflict):
        cluster.delete(CLAIM)


def test_without_its_record_nothing_is_deleted(recorder, tmp_path):
    server = recorder((200, {}))

    def broken(call: Call) -> None:
        raise RuntimeError("the trail is away")

    with pytest.raises(RuntimeError, match="the trail is away"):
        server.cluster(tmp_path).recording(broken).delete(CLAIM)
    assert server.requests == []
