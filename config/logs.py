"""Where the log goes: lines on stderr, each with the id of the request that it belongs to."""

import logging
from typing import Any

OURS = (
    "accounts",
    "audit",
    "celery",
    "cluster",
    "config",
    "dashboard",
    "gitops",
    "holdfast",
    "migrations_app",
    "worker",
)


class RequestId(logging.Filter):
    """Adds `request_id`, which a person reads on the page of an error; a dash outside of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        from audit.context import request_id  # apps are not loaded when logging is set up

        record.request_id = request_id.get() or "-"
        return True


def to_stderr() -> dict[str, Any]:
    """For Django's LOGGING. Without it an error outside of debugging would leave no trace but a mail to nobody."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "config.logs.RequestId"}},
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "django": {"handlers": [], "level": "INFO"},
            **{name: {"level": "INFO"} for name in OURS},
        },
    }
