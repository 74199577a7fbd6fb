"""Password sign-in; the only other ways are OIDC and the trusted proxy, which never see a password."""

from django.contrib.auth.backends import ModelBackend


class PasswordBackend(ModelBackend):
    """Checks passwords. Django's own permissions are not used: roles are granted by `Grant`."""

    def has_perm(self, user_obj: object, perm: str, obj: object = None) -> bool:
        """Always False, also for superusers."""
        return False
