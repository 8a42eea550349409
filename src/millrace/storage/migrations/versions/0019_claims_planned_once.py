"""Claims are planned once on PostgreSQL. Here statements are planned when they are prepared, and nothing changes."""

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """The number alone: both databases go through the same ones."""


def downgrade() -> None:
    """As `upgrade`."""
