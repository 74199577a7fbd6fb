"""Git repositories of a cluster."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import needs
from audit.trail import Actor
from dashboard.actions import remove_repository, save_repository
from dashboard.forms import RepositoryForm
from dashboard.models import Cluster, GitRepository
from dashboard.states import PushPolicy
from migrations_app.problems import Refused


@needs("settings.edit")
@require_http_methods(["GET", "HEAD", "POST"])
def repositories(request: HttpRequest) -> HttpResponse:
    """The list, and a form to add one."""
    return _edit(request, None)


@needs("settings.edit")
@require_http_methods(["GET", "HEAD", "POST"])
def repository(request: HttpRequest, repository_id: int) -> HttpResponse:
    return _edit(request, get_object_or_404(GitRepository, pk=repository_id))


def _edit(request: HttpRequest, row: GitRepository | None) -> HttpResponse:
    cluster = row.cluster if row else Cluster.objects.first()
    form = RepositoryForm(request.POST or None, instance=row)
    if request.method == "POST" and cluster is None:
        messages.error(request, "No cluster has been seen yet. Start the watcher first.")
        return HttpResponseRedirect(reverse("repositories"), status=303)
    if request.method == "POST" and cluster is not None and form.is_valid():
        values = dict(form.cleaned_data)
        name = row.name if row else values["name"]
        values.pop("name")
        try:
            save_repository(by=Actor.of(request), cluster=cluster, name=name, only_new=row is None, **values)
        except Refused as refusal:
            form.add_error("name", f"{refusal.reason} {refusal.next}")
        else:
            messages.success(request, f"Repository {name} is saved.")
            return HttpResponseRedirect(reverse("repositories"), status=303)
    rows = [(PushPolicy(r.push_policy).label, r) for r in GitRepository.objects.select_related("cluster")]
    context = {"form": form, "rows": rows, "editing": row}
    return render(request, "dashboard/repositories.html", context, status=422 if form.errors else 200)


@needs("settings.edit")
@require_POST
def repository_remove(request: HttpRequest, repository_id: int) -> HttpResponse:
    row = get_object_or_404(GitRepository, pk=repository_id)
    remove_repository(by=Actor.of(request), repository=row)
    messages.success(request, f"Repository {row.name} is forgotten. Nothing in Git was changed.")
    return HttpResponseRedirect(reverse("repositories"), status=303)
