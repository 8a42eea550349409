"""Nothing: what changes on PostgreSQL with this number is a function, and both databases count alike."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
