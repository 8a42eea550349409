"""PostgreSQL: the same ports as SQLite, for any number of processes.

What must be atomic and quick is a function in the database (`migrations/postgres/*.sql`): one call is one round trip
and one transaction.
"""
