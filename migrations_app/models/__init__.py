"""What Holdfast keeps of a migration. PostgreSQL is the truth; nothing of this lives elsewhere."""

from migrations_app.models.evidence import Evidence, LogLine
from migrations_app.models.intent import Intent
from migrations_app.models.migration import Course, GitMode, Migration, ReleasePath, Strategy
from migrations_app.models.notification import Notification
from migrations_app.models.run import StepRun
from migrations_app.models.signoff import Decision, SignOffRequest
from migrations_app.models.transfer import Transfer

__all__ = [
    "Course",
    "Decision",
    "Evidence",
    "GitMode",
    "Intent",
    "LogLine",
    "Migration",
    "Notification",
    "ReleasePath",
    "SignOffRequest",
    "StepRun",
    "Strategy",
    "Transfer",
]
