"""What the page tells of a first pass: a time left once the mover has counted, and none before."""

from django.template.loader import render_to_string
from django.utils import timezone

from migrations_app.models import Migration
from migrations_app.states import State
from migrations_app.views.live import progress_of

MIB = 1 << 20


def page(totals: str | None) -> str:
    said = {
        "t": "progress",
        "phase": "copy",
        "bytes": 10 * MIB,
        "bytes_total": 70 * MIB,
        "totals": totals,
        "rate_bytes_per_second": MIB,
        "step": "warm-copy",
        "at": timezone.now().isoformat(),
    }
    found = progress_of(Migration(state=State.RUNNING, current_step="warm-copy"), said)
    assert found is not None
    return render_to_string("components/progress.html", {"progress": found, "label": "data", "number": 1})


def test_it_tells_rate_and_time_left_once_the_source_is_counted() -> None:
    for totals in ("counted", "known"):
        text = page(totals)
        assert "of 70 MiB" in text
        assert "about 1 min left" in text
        assert 'max="73400320"' in text


def test_it_promises_nothing_while_the_source_is_still_counted() -> None:
    text = page("growing")
    assert "of at least 70 MiB" in text
    assert "still counting" in text
    assert "max=" not in text
    assert " left" not in text.replace("time left not known yet", "")
    assert "%" not in text
