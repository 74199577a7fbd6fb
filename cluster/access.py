"""What the cluster offers and allows us."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cluster.answers import Asked
from cluster.base import Manifest, Ref, canonical
from cluster.errors import ClusterError
from cluster.transport import FIELD_MANAGER, Transport, decoded
from cluster.values import Rule


class ReviewStatus(msgspec.Struct):
    allowed: bool = False


class Review(msgspec.Struct):
    status: ReviewStatus = msgspec.field(default_factory=ReviewStatus)


class UserInfo(msgspec.Struct):
    username: str = ""


class SelfStatus(msgspec.Struct, rename="camel"):
    user_info: UserInfo = msgspec.field(default_factory=UserInfo)


class SelfReview(msgspec.Struct):
    status: SelfStatus = msgspec.field(default_factory=SelfStatus)


class Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


class Access(Transport):
    """Permissions, versions, served kinds, and the server's opinion of an object before it is made."""

    def can_i(self, rules: Iterable[Rule]) -> list[Rule]:
        """The rules that we lack, by SelfSubjectAccessReview; empty when we may do all."""
        return [rule for rule in rules if not self._allowed(rule)]

    def _allowed(self, rule: Rule) -> bool:
        resource = self.resource("SelfSubjectAccessReview")
        attributes = {
            "verb": rule.verb,
            "group": rule.group,
            "resource": rule.resource,
            "namespace": rule.namespace,
            "subresource": rule.subresource,
        }
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        asked = Asked("get", Ref(resource.api_version, resource.kind, "", ""))
        answer = self._send("POST", resource.path(), {}, asked=asked, body=canonical(body).encode())
        return decoded(answer.body, Review, asked).status.allowed

    def whoami(self) -> str:
        """The user name that the server sees, or "" where it does not tell."""
        resource = self.resource("SelfSubjectReview")
        asked = Asked("get", Ref(resource.api_version, resource.kind, "", ""))
        body = canonical({"apiVersion": resource.api_version, "kind": resource.kind}).encode()
        try:
            answer = self._send("POST", resource.path(), {}, asked=asked, body=body)
            return decoded(answer.body, SelfReview, asked).status.user_info.username
        except ClusterError:
            return ""

    def server_version(self) -> str:
        """Such as v1.33.1."""
        asked = Asked("get", Ref("", "version", "", ""))
        return self._read("/version", {}, Version, asked).git_version

    def serves(self, group: str, kind: str) -> str:
        """The preferred version in which the cluster serves `kind` of `group` ("" for core), or "" when it does not."""
        found = self._lookup(group, kind)
        return found.version if found else ""

    def dry_run_create(self, manifest: Manifest) -> list[str]:
        """Warnings of a server-side dry run. Raises AlreadyExists, Denied, Invalid, QuotaExceeded, Forbidden, NotFound (namespace).

        A quota's use is not counted across several dry runs: add up yourself what one plan creates.
        """
        resource = self._resource_of(manifest.ref)
        query = {"dryRun": "All", "fieldManager": FIELD_MANAGER, "fieldValidation": "Warn"}
        asked = Asked("create", manifest.ref)
        answer = self._send(
            "POST", resource.path(manifest.namespace), query, asked=asked, body=manifest.body.encode()
        )
        return list(answer.warnings)
