from django.apps import AppConfig


class MigrationsConfig(AppConfig):
    name = "migrations_app"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from audit.listing import narrow_by
        from migrations_app.rules.reading import without_hidden

        narrow_by(without_hidden)
