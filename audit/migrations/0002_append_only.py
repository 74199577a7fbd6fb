"""PostgreSQL itself keeps the trail in order and refuses to change it.

Every insert must continue the chain: the next number, the hash before it. A row is never updated or deleted, the table
never emptied. The functions run with the caller's rights and a fixed search path.
"""

from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege', HINT = 'Record a further event that corrects it.';
END $$;

CREATE TRIGGER audit_event_no_change BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_refuse();
CREATE TRIGGER audit_event_no_truncate BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_refuse();

CREATE FUNCTION audit_event_continue() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    last_sequence bigint;
    last_hash text;
BEGIN
    PERFORM pg_advisory_xact_lock(418581342580);
    SELECT sequence, hash INTO last_sequence, last_hash FROM audit_event ORDER BY sequence DESC LIMIT 1;
    IF NEW.sequence <> coalesce(last_sequence, 0) + 1
       OR NEW.previous_hash <> coalesce(last_hash, repeat('0', 64)) THEN
        RAISE EXCEPTION 'event % does not continue the audit trail after event %', NEW.sequence, coalesce(last_sequence, 0)
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER audit_event_in_order BEFORE INSERT ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_continue();

CREATE INDEX audit_by_word ON audit_event USING gin (audit_words(actor, verb, kind, key, namespace, note));
"""

# Words of a text search: punctuation of names and verbs parts words, so that "m-7f3k2" is found by "7f3k2".
WORDS = """
CREATE FUNCTION audit_words(actor text, verb text, kind text, key text, namespace text, note text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('simple'::regconfig, translate(
        actor || ' ' || verb || ' ' || kind || ' ' || left(key, 2000) || ' ' || namespace || ' ' || left(note, 20000),
        $$!"#%&'()*+,-./:;<=>?@[]^_`{|}~\\$$, repeat(' ', 31)));
"""

UNDO = """
DROP INDEX audit_by_word;
DROP TRIGGER audit_event_in_order ON audit_event;
DROP TRIGGER audit_event_no_truncate ON audit_event;
DROP TRIGGER audit_event_no_change ON audit_event;
DROP FUNCTION audit_event_continue();
DROP FUNCTION audit_event_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_first")]

    operations = [
        migrations.RunSQL(WORDS, "DROP FUNCTION audit_words(text, text, text, text, text, text)"),
        migrations.RunSQL(APPEND_ONLY, UNDO),
    ]
