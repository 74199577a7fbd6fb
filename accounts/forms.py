"""Forms of accounts."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts import actions
from accounts.models import User
from accounts.permissions import valid_pattern
from accounts.roles import ROLE_MEANINGS, Role
from accounts.throttle import locked_out


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
        help_text="Namespace patterns, parted by spaces. * stands for any text, ? for one character. "
        "They replace those in which the role is held already: name all of them.",
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

    def __init__(self, *args: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request, self.user = request, user

    def clean_current_password(self) -> str:
        current: str = self.cleaned_data["current_password"]
        name = self.user.get_username()
        # Guessing it here counts like guessing it at the sign-in: a stolen session must not find the password out.
        if not locked_out(self.request, name):
            if authenticate(self.request, username=name, password=current) is not None:
                return current
            actions.note_failed_sign_in(name, by=self.user, note="The current password, to set a new one.")
            if not locked_out(self.request, name):
                raise ValidationError("That is not your current password.")
        actions.note_lockout(name)
        minutes = settings.HOLDFAST_LOCKOUT_MINUTES
        raise ValidationError(
            f"Too many failed attempts. Your password is unchanged; try again in {minutes} minutes.",
            code="locked",
        )

    def clean_new_password(self) -> str:
        new: str = self.cleaned_data["new_password"]
        validate_password(new, self.user)
        return new
