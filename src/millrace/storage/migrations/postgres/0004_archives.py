"""Where runs are that were written to the archive before they were deleted; rounds of retention count them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ARCHIVES = """
create table archives (
  id varchar(36) collate "C" not null,
  object_key varchar(512) collate "C" not null,
  size bigint not null,
  sha256 varchar(64) collate "C" not null,
  index_at bigint not null,
  families integer not null,
  runs integer not null,
  first_run_id varchar(36) collate "C" not null,
  last_run_id varchar(36) collate "C" not null,
  created_at bigint not null,
  constraint pk_archives primary key (id)
)"""


def upgrade() -> None:
    for name in ("archived", "archives"):
        op.execute(f"alter table retention_rounds add {name} integer default 0 not null")
    op.execute(ARCHIVES)
    op.execute("create index ix_archives_first_run_id on archives (first_run_id)")


def downgrade() -> None:
    op.execute("drop table archives")
    op.execute("alter table retention_rounds drop archived, drop archives")
