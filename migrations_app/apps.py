from django.apps import AppConfig


class MigrationsConfig(AppConfig):
    name = "migrations_app"
    default_auto_field = "django.db.models.BigAutoField"
