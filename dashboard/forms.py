"""Forms of the dashboard's settings."""

import re
from typing import Any
from urllib.parse import urlsplit

from django import forms

from dashboard.credentials import why_not
from dashboard.models import GitRepository


class RepositoryForm(forms.ModelForm):  # type: ignore[type-arg]
    """A Git repository that Holdfast may read and, as its policy says, change."""

    class Meta:
        model = GitRepository
        fields = (
            "name",
            "url",
            "branch",
            "source_namespace",
            "source_name",
            "push_policy",
            "credentials_kind",
            "credentials_name",
        )
        labels = {
            "url": "URL",
            "source_namespace": "Namespace of the Flux GitRepository",
            "source_name": "Name of the Flux GitRepository",
            "push_policy": "How changes get there",
            "credentials_kind": "Credentials are in",
            "credentials_name": "Path or variable",
        }
        help_texts = {
            "url": "As git clones it: https://, ssh:// or git@host:path.",
            "branch": "The branch that the cluster follows.",
            "source_namespace": "Of the object by which Flux reads this repository.",
            "push_policy": "What Holdfast may do at most; each migration may ask for less.",
            "name": "Also the name of the clone; letters, digits, hyphens.",
            "credentials_name": "Where the worker finds the token or key: the path of a file, or the name of an environment variable. Never the secret itself.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            # Changes and events are filed under it.
            self.fields["name"].disabled = True

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"]).strip()
        if not _is_url(url):
            raise forms.ValidationError(
                "Not a URL that git can clone: use https://, ssh:// or git@host:path."
            )
        if _has_secret(url):
            raise forms.ValidationError(
                "The URL has a password in it. Put it into a file or a variable, and name that below."
            )
        return url

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        kind, name = cleaned.get("credentials_kind"), cleaned.get("credentials_name")
        if kind == "environment" and name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            self.add_error("credentials_name", "Not the name of an environment variable.")
        if kind == "file" and name and not name.startswith("/"):
            self.add_error("credentials_name", "Use an absolute path on the worker's machine.")
        if kind in {"environment", "file"} and not name:
            self.add_error("credentials_name", "Say which one.")
        elif kind and name and (reason := why_not(kind, name)):
            self.add_error("credentials_name", reason)
        return cleaned


def _has_secret(url: str) -> bool:
    """A password, or anything before the host of an http URL: there a name alone is a token as a rule."""
    parts = urlsplit(url)
    return bool(parts.password) or (parts.scheme in {"http", "https"} and "@" in parts.netloc)


def _is_url(url: str) -> bool:
    try:
        # Reading the port checks it: a password with a slash in it looks like a port that is no number.
        return urlsplit(url).port != 0 and bool(re.match(r"^(https?|ssh|file)://|^[\w.-]+@[\w.-]+:", url))
    except ValueError:
        return False
