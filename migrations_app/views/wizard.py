"""The wizard: a server-side draft with a URL a page, so that refresh, Back and tomorrow all work."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import permissions
from accounts.access import needs
from dashboard.models import Claim, GitRepository, NamespaceFact
from dashboard.queries import visible_gitops
from dashboard.views.parts import render_part
from migrations_app.actions import drafting, running
from migrations_app.forms import DestinationForm, OptionsForm, SourceForm, shown_size
from migrations_app.models import GitMode, Migration, ReleasePath
from migrations_app.rules import drafts, pushing
from migrations_app.states import State
from migrations_app.views import live
from migrations_app.views.shared import attempt, check_edit, load, person, see_other

PAGES = (
    ("source", "Source"),
    ("destination", "Destination"),
    ("options", "Options"),
    ("checks", "Checks"),
    ("review", "Review"),
)


@needs("migrations.view")
@require_safe
def enter(request: HttpRequest, reference: str) -> HttpResponse:
    """The draft's first page that is not filled in yet."""
    migration = load(request, reference)
    if not migration.is_draft:
        return see_other("migration", reference)
    if not migration.destination_namespace:
        return see_other("wizard-destination", reference)
    return see_other("wizard-review" if migration.state == State.READY else "wizard-options", reference)


def _frame(request: HttpRequest, migration: Migration, page: str) -> dict[str, Any]:
    keys = [key for key, _ in PAGES]
    return {
        "migration": migration,
        "state": migration.state_value,
        "pages": [(key, label, f"wizard-{key}", keys.index(key) < keys.index(page)) for key, label in PAGES],
        "page": page,
        "seen": drafts.fingerprint(migration),
        "claims_so_far": _claims_of(migration),
    }


def _check_seen(request: HttpRequest, migration: Migration) -> None:
    """Another tab, or another person, may have saved a page meanwhile."""
    if "seen" in request.POST:
        drafts.check_seen(migration, request.POST["seen"])


def _claims_of(migration: Migration) -> list[dict[str, Any]]:
    """Each claim of the draft with what the watcher knows of it now: the draft itself learns it at the checks."""
    transfers = list(migration.transfers.all())
    rows = Claim.objects.present().filter(
        cluster=migration.cluster,
        namespace=migration.source_namespace,
        name__in=[t.source_name for t in transfers],
    )
    known = {claim.name: claim for claim in rows}
    return [{"transfer": t, "claim": known.get(t.source_name)} for t in transfers]


def _focus(form: forms.Form) -> forms.Form:
    """The first field that is wrong gets the focus, with JavaScript or without."""
    first = next((name for name in form.fields if name in form.errors), "") if form.is_bound else ""
    if first:
        form.fields[first].widget.attrs["autofocus"] = True
    return form


def _draft(request: HttpRequest, reference: str) -> Migration | None:
    """The draft, editable by this person; None when it was started or discarded meanwhile."""
    migration = load(request, reference)
    check_edit(request, migration)
    return migration if migration.is_draft else None


@needs("migrations.edit")
@require_http_methods(["GET", "HEAD", "POST"])
def source(request: HttpRequest, reference: str) -> HttpResponse:
    migration = _draft(request, reference)
    if migration is None:
        return see_other("migration", reference)
    claims = list(
        Claim.objects.present().filter(cluster=migration.cluster, namespace=migration.source_namespace)
    )
    initial = {
        "application": migration.application,
        "claims": [t.source_name for t in migration.transfers.all()],
    }
    form = SourceForm(request.POST or None, claims=claims, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data

        def action() -> None:
            _check_seen(request, migration)
            drafting.set_source(
                by=person(request),
                migration=migration,
                application=data["application"],
                claims=data["claims"],
            )

        if attempt(request, action):
            return see_other("wizard-destination", reference)
    context = {"form": _focus(form), "claims": claims, "picked": form["claims"].value() or []}
    status = 422 if request.method == "POST" else 200
    return render(
        request,
        "migrations/wizard/source.html",
        {**_frame(request, migration, "source"), **context},
        status=status,
    )


@needs("migrations.edit")
@require_http_methods(["GET", "HEAD", "POST"])
def destination(request: HttpRequest, reference: str) -> HttpResponse:
    migration = _draft(request, reference)
    if migration is None:
        return see_other("migration", reference)
    present = {"cluster": migration.cluster, "gone_at__isnull": True}
    # The change goes into the path of the one that is chosen: it has to be theirs.
    theirs = visible_gitops(request.user, permission="migrations.edit")
    kustomizations = list(theirs.filter(kind="Kustomization", cluster=migration.cluster))
    classes = sorted(
        set(
            Claim.objects.present()
            .filter(cluster=migration.cluster)
            .exclude(storage_class="")
            .values_list("storage_class", flat=True)
        )
    )
    owner = migration.destination_owner
    initial = {
        "namespace": migration.destination_namespace,
        "owner": f"{owner['namespace']}/{owner['name']}" if owner else "",
    }
    form = DestinationForm(
        request.POST or None,
        migration=migration,
        kustomizations=kustomizations,
        classes=classes,
        initial=initial,
    )
    if request.method == "POST" and form.is_valid():
        namespace = form.cleaned_data["namespace"]
        permissions.check(request.user, "migrations.edit", namespace=namespace)

        def action() -> None:
            _check_seen(request, migration)
            drafting.set_destination(
                by=person(request),
                migration=migration,
                namespace=namespace,
                claims=form.chosen(),
                owner=form.chosen_owner(),
            )

        if attempt(request, action):
            return see_other("wizard-options", reference)
    names = permissions.visible(
        request.user, NamespaceFact.objects.filter(**present), "name", permission="migrations.edit"
    )
    so_far = {row["transfer"].pk: row["claim"] for row in _claims_of(migration)}
    context = {
        "form": _focus(form),
        "rows": [{**row, "claim": so_far.get(row["transfer"].pk)} for row in form.rows()],
        "namespaces": list(names.values_list("name", flat=True)),
    }
    status = 422 if request.method == "POST" else 200
    return render(
        request,
        "migrations/wizard/destination.html",
        {**_frame(request, migration, "destination"), **context},
        status=status,
    )


@needs("migrations.edit")
@require_http_methods(["GET", "HEAD", "POST"])
def options(request: HttpRequest, reference: str) -> HttpResponse:
    migration = _draft(request, reference)
    if migration is None:
        return see_other("migration", reference)
    repositories = pushing.repositories(migration)
    likely = _likely_git_mode(migration, repositories)
    initial = {
        "warm_passes": migration.warm_passes,
        "pause_before_quiesce": migration.pause_before_quiesce,
        "git_mode": migration.git_mode if migration.version else likely,
        "release_path": migration.release_path,
        "retention_days": migration.retention_days,
        "test_note": migration.test_note,
        "bandwidth": shown_size(migration.limits.get("bandwidth", 0)),
        "iops": migration.limits.get("iops"),
    }
    undecided = migration.git_mode == GitMode.NONE and not migration.plan
    if undecided or initial["git_mode"] not in pushing.modes(repositories):
        initial["git_mode"] = likely
    form = OptionsForm(request.POST or None, initial=initial, repositories=repositories)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data

        def action() -> None:
            _check_seen(request, migration)
            drafting.set_options(
                by=person(request),
                migration=migration,
                warm_passes=data["warm_passes"],
                retention_days=data["retention_days"],
                pause_before_quiesce=data["pause_before_quiesce"],
                git_mode=GitMode(data["git_mode"]),
                release_path=ReleasePath(data["release_path"]),
                test_note=data["test_note"],
                limits=form.limits(),
            )
            drafting.request_checks(by=person(request), migration=Migration.objects.get(pk=migration.pk))

        if attempt(request, action):
            return see_other("wizard-checks", reference)
    status = 422 if request.method == "POST" else 200
    return render(
        request,
        "migrations/wizard/options.html",
        {**_frame(request, migration, "options"), "form": _focus(form)},
        status=status,
    )


def _likely_git_mode(migration: Migration, repositories: list[GitRepository]) -> str:
    """What the claims' owner and the repository's policy suggest."""
    names = list(migration.transfers.values_list("source_name", flat=True))
    rows = Claim.objects.present().filter(
        cluster=migration.cluster, namespace=migration.source_namespace, name__in=names
    )
    if not rows.filter(owner_kind="kustomization").exists():
        return str(GitMode.NONE)
    # Where none is known, Holdfast has nowhere to push.
    return str(pushing.modes(repositories)[0] if repositories else GitMode.MANUAL)


@needs("migrations.edit")
@require_http_methods(["GET", "HEAD", "POST"])
def checks(request: HttpRequest, reference: str) -> HttpResponse:
    """What the checks found. POST runs them again."""
    migration = _draft(request, reference)
    if migration is None:
        return see_other("migration", reference)
    if request.method == "POST":
        attempt(request, lambda: drafting.request_checks(by=person(request), migration=migration))
        return see_other("wizard-checks", reference)
    context = {
        **_frame(request, migration, "checks"),
        **live.plan_context(migration),
        "running": migration.state == State.PREPARING,
        "stopped": bool(migration.stopped_by_checks),
        "ready": migration.state == State.READY,
        "worker_silent_s": live.worker_silent_s(migration),
    }
    return render_part(request, "migrations/wizard/checks.html", "migrations/wizard/_checks.html", context)


@needs("migrations.edit")
@require_safe
def review(request: HttpRequest, reference: str) -> HttpResponse:
    migration = _draft(request, reference)
    if migration is None:
        return see_other("migration", reference)
    if migration.state != State.READY:
        messages.info(request, "The plan is made by the checks. Run them first.")
        return see_other("wizard-checks", reference)
    context = {
        **_frame(request, migration, "review"),
        **live.plan_context(migration),
        "stopped": bool(migration.stopped_by_checks),
    }
    return render(request, "migrations/wizard/review.html", context)


@needs("migrations.edit")
@require_POST
def start(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    check_edit(request, migration)
    digest = request.POST.get("plan_digest", "")
    if attempt(
        request,
        lambda: running.start(by=person(request), migration=migration, plan_digest=digest),
        done="It has started.",
    ):
        return see_other("migration", reference)
    return see_other("wizard", reference)


@needs("migrations.edit")
@require_POST
def discard(request: HttpRequest, reference: str) -> HttpResponse:
    migration = load(request, reference)
    check_edit(request, migration)
    attempt(
        request,
        lambda: drafting.discard(by=person(request), migration=migration),
        done="The draft is discarded.",
    )
    return see_other("migrations")
