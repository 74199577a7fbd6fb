from django.apps import AppConfig


class MigrationsConfig(AppConfig):
    name = "migrations_app"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from audit.listing import limit
        from migrations_app.rules.reading import references

        # Its events stand under the source's namespace, and name the destination, too.
        limit("migration", references)
