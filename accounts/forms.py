"""Forms of accounts."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import User
from accounts.permissions import valid_pattern
from accounts.roles import ROLE_MEANINGS, Role


class SignInForm(forms.Form):
    username = forms.CharField(
        max_length=150,
        label="Name",
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        max_length=1024, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )


class GrantForm(forms.Form):
    role = forms.ChoiceField(choices=[(role.value, f"{role.label}: {ROLE_MEANINGS[role]}") for role in Role])
    namespaces = forms.CharField(
        initial="*",
        max_length=2000,
        help_text="Namespace patterns, parted by spaces. * stands for any text, ? for one character.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )

    def clean_namespaces(self) -> list[str]:
        patterns: list[str] = self.cleaned_data["namespaces"].replace(",", " ").split()
        wrong = [pattern[:80] for pattern in patterns if not valid_pattern(pattern)]
        if wrong:
            raise ValidationError(
                f"Not a namespace pattern: {', '.join(wrong)}. Use a-z, 0-9 and -, with * and ? as wildcards."
            )
        if not patterns:
            raise ValidationError("Name at least one pattern; * stands for all namespaces.")
        return patterns


class PasswordForm(forms.Form):
    current_password = forms.CharField(
        strip=False, max_length=1024, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )
    new_password = forms.CharField(
        strip=False, max_length=1024, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_current_password(self) -> str:
        current: str = self.cleaned_data["current_password"]
        if not self.user.check_password(current):
            raise ValidationError("That is not your current password.")
        return current

    def clean_new_password(self) -> str:
        new: str = self.cleaned_data["new_password"]
        validate_password(new, self.user)
        return new
