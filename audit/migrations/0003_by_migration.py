"""An index for the story of one migration: pages that look again every second must not read the whole trail."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]
    operations = [
        migrations.RunSQL(
            "CREATE INDEX audit_by_migration ON audit_event ((after -> 'migration'), sequence)",
            "DROP INDEX audit_by_migration",
        )
    ]
