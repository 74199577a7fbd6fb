"""One's own account, and (for admins) everybody's roles."""

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import actions
from accounts.access import needs, signed_in
from accounts.actions import NotGranted
from accounts.forms import GrantForm, PasswordForm
from accounts.grants import held_here, in_words
from accounts.models import Grant, User
from accounts.permissions import grants_of
from accounts.roles import PERMISSIONS, ROLE_MEANINGS, ROLES, Role
from accounts.views.sessions import redirect_after_post


@signed_in
@sensitive_post_parameters("current_password", "new_password")
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """My name, my roles and what they allow; a new password by POST."""
    user = request.user
    assert isinstance(user, User)  # noqa: S101 - the gate lets nobody else in
    typed = request.POST if request.method == "POST" and user.has_usable_password() else None
    form = PasswordForm(typed, request=request, user=user)
    if form.is_valid():
        with transaction.atomic():
            actions.change_password(user=user, password=form.cleaned_data["new_password"])
            update_session_auth_hash(request, user)
        messages.success(request, "Your password is changed. Other sessions of yours have ended.")
        return redirect_after_post(reverse("account"))
    held = [(grant, Role(grant.role).label, _allows(grant)) for grant in grants_of(user)]
    status = 422 if request.method == "POST" else 200
    if form.has_error("current_password", "locked"):
        status = 429
    return render(request, "accounts/account.html", {"form": form, "held": held}, status=status)


def _allows(grant: Grant) -> list[str]:
    return [meaning for permission, meaning in PERMISSIONS.items() if permission in ROLES[Role(grant.role)]]


@needs("users.edit")
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """Everybody with an account, and what they hold."""
    everybody = User.objects.prefetch_related("grants").order_by("-is_active", "username")
    return render(request, "accounts/people.html", {"people": everybody, "roles": ROLE_MEANINGS.items()})


@needs("users.edit")
@require_safe
def person(request: HttpRequest, user_id: int) -> HttpResponse:
    """One account: its roles, and forms to change them."""
    return _person_page(request, get_object_or_404(User, pk=user_id), GrantForm())


@needs("users.edit")
@require_POST
def grant(request: HttpRequest, user_id: int) -> HttpResponse:
    """Gives a role."""
    subject = get_object_or_404(User, pk=user_id)
    form = GrantForm(request.POST)
    if not form.is_valid():
        return _person_page(request, subject, form, status=422)
    before = held_here(subject, form.cleaned_data["role"])
    try:
        given = actions.grant(
            user=subject,
            role=form.cleaned_data["role"],
            namespaces=form.cleaned_data["namespaces"],
            by=_me(request),
        )
    except NotGranted as problem:
        form.add_error(None, str(problem))
        return _person_page(request, subject, form, status=422)
    messages.success(request, in_words(given, before))
    return redirect_after_post(reverse("person", args=[subject.pk]))


@needs("users.edit")
@require_POST
def revoke(request: HttpRequest, user_id: int) -> HttpResponse:
    """Takes a role away."""
    subject = get_object_or_404(User, pk=user_id)
    role = request.POST.get("role", "")
    try:
        gone = actions.revoke(user=subject, role=role, by=_me(request))
    except NotGranted as problem:
        messages.error(request, str(problem))
        return redirect_after_post(reverse("person", args=[subject.pk]))
    if gone:
        messages.success(request, f"{subject.username} is no longer {role}.")
    else:
        messages.info(request, "That role was not held, or does not come from here.")
    return redirect_after_post(reverse("person", args=[subject.pk]))


@needs("users.edit")
@require_POST
def set_active(request: HttpRequest, user_id: int) -> HttpResponse:
    """Stops an account at once, or lets it sign in again."""
    subject = get_object_or_404(User, pk=user_id)
    active = request.POST.get("active") == "1"
    try:
        actions.set_active(user=subject, active=active, by=_me(request))
    except NotGranted as problem:
        messages.error(request, str(problem))
    else:
        messages.success(
            request, f"{subject.username} {'may sign in' if active else 'can no longer sign in'}."
        )
    return redirect_after_post(reverse("person", args=[subject.pk]))


def _me(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - the gate lets nobody else in
    return request.user


def _person_page(request: HttpRequest, subject: User, form: GrantForm, *, status: int = 200) -> HttpResponse:
    grants = [
        (held, held.get_source_display(), held.source == Grant.Source.LOCAL)
        for held in subject.grants.order_by("role")
    ]
    shown = {"subject": subject, "grants": grants, "form": form, "is_me": subject.pk == request.user.pk}
    return render(request, "accounts/person.html", shown, status=status)
