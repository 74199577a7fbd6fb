"""What admission knows of a write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.apiserver.call import DeleteOptions, User
from sandbox.apiserver.resources import ResourceType

Json = dict[str, Any]


@dataclass(frozen=True)
class Attributes:
    """A write before it happens. `new` is None in a deletion, `old` in a creation."""

    operation: str
    resource: ResourceType
    namespace: str
    name: str
    new: Json | None
    old: Json | None
    subresource: str = ""
    dry_run: bool = False
    options: DeleteOptions | None = None

    def request(self, user: User, uid: str = "") -> Json:
        """The `request` of an AdmissionReview and of policy expressions."""
        resource = self.resource
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        where = {"group": resource.group, "version": resource.version, "resource": resource.plural}
        found: Json = {
            "uid": uid,
            "kind": kind,
            "resource": where,
            "requestKind": kind,
            "requestResource": where,
            "operation": self.operation,
            "userInfo": user.to_json(),
            "object": self.new,
            "oldObject": self.old,
            "dryRun": self.dry_run,
            "options": self._options(),
        }
        if self.name:
            found["name"] = self.name
        if self.namespace:
            found["namespace"] = self.namespace
        elif resource.table == ("", "namespaces"):
            found["namespace"] = self.name
        if self.subresource:
            found |= {"subResource": self.subresource, "requestSubResource": self.subresource}
        return found

    def _options(self) -> Json:
        kinds = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}
        found: Json = {"kind": kinds[self.operation], "apiVersion": "meta.k8s.io/v1"}
        if self.dry_run:
            found["dryRun"] = ["All"]
        if self.options and self.options.propagation:
            found["propagationPolicy"] = self.options.propagation
        return found

    def review(self, user: User, uid: str) -> Json:
        """The AdmissionReview to send to a webhook."""
        request = self.request(user, uid)
        return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}

    def cel_context(self, user: User) -> Json:
        """The variables of an admission expression."""
        return {"object": self.new, "oldObject": self.old, "request": self.request(user)}
