"""What is read of admission, and what is named as unreadable: both decide whether a claim may be called protected."""

from pathlib import Path
from typing import Any

from tests.cluster.recording import Recorder, status

FORBIDDEN = status(
    403,
    "Forbidden",
    'x is forbidden: User "viewer" cannot list resource "x" in API group "y" at the cluster scope',
)
VERSIONS = {"kyverno.io": "v2", "policies.kyverno.io": "v1"}


class ByPath(list[Any]):
    """Answers by the path that was asked for; what is not listed is an empty list."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__([None, None])
        self.answers = answers
        self.server: Recorder | None = None

    def pop(self, index: Any = -1) -> Any:
        assert self.server is not None
        path = self.server.requests[-1].line.split()[1].split("?")[0]
        return self.answers.get(path, (200, {"metadata": {}, "items": []}))


def admission(tmp_path: Path, answers: dict[str, Any]) -> Any:
    groups = [
        {"name": g, "versions": [{"groupVersion": f"{g}/{v}", "version": v}]} for g, v in VERSIONS.items()
    ]
    kinds = [{"name": "policyexceptions", "kind": "PolicyException", "namespaced": True}]
    served = {f"/apis/{group}/{version}": (200, {"resources": kinds}) for group, version in VERSIONS.items()}
    by_path = ByPath({"/apis": (200, {"groups": groups}), **served, **answers})
    by_path.server = server = Recorder(by_path)
    try:
        return server.cluster(tmp_path).admission()
    finally:
        server.close()


def test_exceptions_of_both_groups_are_read(tmp_path: Path) -> None:
    old = {"metadata": {"name": "a", "namespace": "n"}, "spec": {"exceptions": [{"policyName": "n/keep"}]}}
    new = {"metadata": {"name": "b", "namespace": "n"}, "spec": {"policyRefs": [{"name": "keep"}]}}
    found = admission(
        tmp_path,
        {
            "/apis/kyverno.io/v2/policyexceptions": (200, {"items": [old]}),
            "/apis/policies.kyverno.io/v1/policyexceptions": (200, {"items": [new]}),
        },
    )
    assert [(e.name, e.policies) for e in found.exceptions] == [
        ("a", (("n/keep", ()),)),
        ("b", (("keep", ()),)),
    ]


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    found = admission(
        tmp_path,
        {
            "/apis/policies.kyverno.io/v1/policyexceptions": FORBIDDEN,
            "/api/v1/namespaces/kyverno/configmaps/kyverno": FORBIDDEN,
        },
    )
    assert found.unreadable == (
        "ConfigMap kyverno/kyverno",
        "PolicyException of policies.kyverno.io",
    )
    assert found.excluded_groups is None


def test_whom_kyverno_leaves_out_is_read(tmp_path: Path) -> None:
    data = {
        "excludeGroups": "system:nodes,sre",
        "excludeUsernames": "alice",
        "excludeRoles": "media:admin",
        "excludeClusterRoles": "cluster-admin, sre",
    }
    found = admission(tmp_path, {"/api/v1/namespaces/kyverno/configmaps/kyverno": (200, {"data": data})})
    assert found.excluded_groups == ("system:nodes", "sre")
    assert (found.excluded_usernames, found.excluded_roles) == (
        ("alice",),
        ("media:admin", "cluster-admin", "sre"),
    )
