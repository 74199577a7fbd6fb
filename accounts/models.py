"""People who sign in."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who signs in. Roles are granted by `Grant`, never by Django's own permissions."""
