"""Removes what people typed into forms from the tables of django-axes: it may be passwords. Failed attempts count anew."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_deactivated_at"),
        ("axes", "0008_accessfailurelog"),
    ]

    operations = [
        # TRUNCATE, not DELETE: the rows leave the disk at once, not when they are vacuumed.
        migrations.RunSQL(
            "TRUNCATE axes_accessattempt, axes_accesslog, axes_accessfailurelog CASCADE",
            migrations.RunSQL.noop,
        ),
    ]
