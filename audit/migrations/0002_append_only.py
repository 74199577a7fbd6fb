"""PostgreSQL itself keeps the trail in order and refuses to change it (audit/triggers.py); and the words of its text search."""

from django.db import migrations

from audit import triggers

# Words of a text search: punctuation of names and verbs parts words, so that "m-7f3k2" is found by "7f3k2".
WORDS = """
CREATE FUNCTION audit_words(actor text, verb text, kind text, key text, namespace text, note text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('simple'::regconfig, translate(
        actor || ' ' || verb || ' ' || kind || ' ' || left(key, 2000) || ' ' || namespace || ' ' || left(note, 20000),
        $$!"#%&'()*+,-./:;<=>?@[]^_`{|}~\\$$, repeat(' ', 31)));
"""

INDEX = "CREATE INDEX audit_by_word ON audit_event USING gin (audit_words(actor, verb, kind, key, namespace, note))"


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_first")]

    operations = [
        migrations.RunSQL(WORDS, "DROP FUNCTION audit_words(text, text, text, text, text, text)"),
        migrations.RunSQL(triggers.SET, triggers.DROP),
        migrations.RunSQL(INDEX, "DROP INDEX audit_by_word"),
    ]
