"""How Alembic reaches the database: over the connection it is handed, in one transaction.

That is committed, unless the attribute `trial` says that the caller only wants to look.
"""

from alembic import context

from millrace.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
if not context.config.attributes.get("trial"):
    connection.commit()
