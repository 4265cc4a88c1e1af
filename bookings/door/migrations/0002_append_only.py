"""What happened at a door stays written down."""

from django.db import migrations

APPEND_ONLY = """
    CREATE FUNCTION door_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'scans are never changed'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'scan_append_only';
    END $$;

    CREATE TRIGGER scan_append_only BEFORE UPDATE OR DELETE ON door_scan
        FOR EACH ROW EXECUTE FUNCTION door_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("door", "0001_initial")]

    operations = [
        migrations.RunSQL(
            APPEND_ONLY, "DROP TRIGGER scan_append_only ON door_scan; DROP FUNCTION door_refuse_change"
        ),
    ]
