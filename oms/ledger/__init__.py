"""The ledger: Postgres, and the only package that imports SQLAlchemy and psycopg.

`schema` names the tables, `migrations` makes them, `writer` commits batches, `load` and `lookup` bring orders
back into memory, `queries` serves people, `verify` proves the journal, `embedded` runs a private server.
"""
