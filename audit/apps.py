from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from audit.grants import grant
        from audit.triggers import set_anew

        post_migrate.connect(grant, sender=self, dispatch_uid="audit.grants")
        post_migrate.connect(set_anew, sender=self, dispatch_uid="audit.triggers")
