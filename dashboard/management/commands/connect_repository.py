"""Adds or changes a Git repository from a shell, as installations from code do."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.trail import Actor
from dashboard.actions import save_repository
from dashboard.forms import RepositoryForm
from dashboard.models import Cluster
from dashboard.states import CredentialsKind, PushPolicy


class Command(BaseCommand):
    help = "Adds the Git repository that a Flux source follows, or changes it. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--url", required=True)
        parser.add_argument("--branch", default="main")
        parser.add_argument("--source", required=True, help="namespace/name of the Flux GitRepository")
        parser.add_argument("--push", choices=PushPolicy.values, default=PushPolicy.BRANCH.value)
        parser.add_argument("--credentials-file", default="")
        parser.add_argument("--credentials-variable", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        namespace, _, source = options["source"].partition("/")
        kind = CredentialsKind.NONE
        if options["credentials_file"]:
            kind = CredentialsKind.FILE
        elif options["credentials_variable"]:
            kind = CredentialsKind.ENVIRONMENT
        values = {
            "url": options["url"],
            "branch": options["branch"],
            "source_namespace": namespace,
            "source_name": source,
            "push_policy": options["push"],
            "credentials_kind": kind.value,
            "credentials_name": options["credentials_file"] or options["credentials_variable"],
        }
        cluster, _ = Cluster.objects.get_or_create(name=settings.HOLDFAST_CLUSTER_NAME)
        known = cluster.repositories.filter(name=options["name"]).first()
        form = RepositoryForm({"name": options["name"], **values}, instance=known)
        if not form.is_valid():
            raise CommandError(
                "; ".join(f"{field}: {errors.as_text()}" for field, errors in form.errors.items())
            )
        save_repository(by=Actor.system("command-line"), cluster=cluster, name=options["name"], **values)
        self.stdout.write(f"Repository {options['name']} is connected to {cluster.name}.")
