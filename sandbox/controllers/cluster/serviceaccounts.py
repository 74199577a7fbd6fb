"""A `default` ServiceAccount and the root certificate's ConfigMap for each namespace."""

from __future__ import annotations

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import Object, is_deleting, name_of, namespace_of
from sandbox.kinds import NAMESPACES, SERVICE_ACCOUNTS


class DefaultServiceAccounts(Controller):
    name = "service-accounts"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.namespaces = self.watch(NAMESPACES, lambda item: [name_of(item)])
        self.accounts = self.watch(SERVICE_ACCOUNTS, self._of_account)

    def _of_account(self, account: Object) -> list[str]:
        return [namespace_of(account)] if name_of(account) == "default" else []

    def reconcile(self, key: str) -> float | None:
        namespace = self.namespaces.get(key)
        if namespace is None or is_deleting(namespace) or self.accounts.get("default", key) is not None:
            return None
        try:
            self.context.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, key)
        except ApiError as error:
            if not error.already_exists:
                raise
        return None
