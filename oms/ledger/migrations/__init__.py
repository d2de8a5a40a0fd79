"""The ledger's migrations, run by Alembic from `oms.ledger.database.migrate`.

A migration is never changed after its release; the next number changes what it made. Rights and triggers are not
here: `database._secure` derives them from the lists in `schema.py` after every migration.
"""
