"""All tables, and the functions that commits, claims and admission are.

PostgreSQL came when SQLite's schema had the number 0003; from here on both have the same numbers.
"""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0003"
down_revision = None
branch_labels = None
depends_on = None

PARTS = ("clock", "states", "tables", "partitions", "changes", "admission", "commit", "claims")


def upgrade() -> None:
    for part in PARTS:
        script = (Path(__file__).with_name("first") / f"{part}.sql").read_text("utf-8")
        # As a script: SQLAlchemy prepares statements, and would take no more than one at a time.
        connection: Any = op.get_bind().connection.dbapi_connection
        connection.run_async(lambda driver, script=script: driver.execute(script))


def downgrade() -> None:
    raise NotImplementedError("there is nothing before the first tables")
