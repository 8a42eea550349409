"""How near to the limits of their rates those are whom several processes count together."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COUNTS = """
create table rate_counts (
  subject varchar(128) collate "C" not null,
  empty_at bigint not null,
  constraint pk_rate_counts primary key (subject)
)"""


def upgrade() -> None:
    op.execute(COUNTS)
    op.execute("create index ix_rate_counts_empty_at on rate_counts (empty_at)")


def downgrade() -> None:
    op.execute("drop table rate_counts")
