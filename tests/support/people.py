"""People in tests are called by their role."""

from accounts.models import Grant, User

PASSWORD = "correct-horse-battery"


def person(role: str = "", *namespaces: str, name: str = "") -> User:
    """An account with one role (none for an outsider), in all namespaces unless some are named."""
    user = User.objects.create_user(username=name or role or "outsider", password=PASSWORD)
    if role:
        Grant.objects.create(user=user, role=role, namespaces=list(namespaces) or ["*"])
    return user
