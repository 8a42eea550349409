"""Workflows, their versions, and what has been deployed when."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from millrace.storage.tables.base import identifier, instant, metadata

workflows = Table(
    "workflows",
    metadata,
    identifier(primary_key=True),
    Column("name", String(255), nullable=False),
    Column("slug", String(255), nullable=False),
    Column("description", Text),
    Column("category", String(255)),
    Column("labels", Text, nullable=False, server_default="{}"),
    Column("metadata", Text, nullable=False, server_default="{}"),
    Column("owner", String(255)),
    Column("status", String(16), nullable=False),
    Column("newest_version", Integer, nullable=False),
    Column("deployed_version", Integer),
    Column("created_by", String(36)),
    Column("updated_by", String(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    instant("deleted_at"),
    CheckConstraint("status in ('draft', 'active', 'paused', 'inactive', 'archived')", name="status"),
    Index("uq_workflows_name_live", "name", unique=True, sqlite_where=text("deleted_at is null")),
    Index("uq_workflows_slug_live", "slug", unique=True, sqlite_where=text("deleted_at is null")),
    sqlite_with_rowid=False,
)  # fmt: skip

workflow_versions = Table(
    "workflow_versions",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", String(36), ForeignKey("workflows.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("tag", String(64)),
    Column("definition", Text, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("author", String(36)),
    Column("comment", Text),
    instant("created_at", nullable=False),
    UniqueConstraint("workflow_id", "number"),
    UniqueConstraint("workflow_id", "tag"),
    sqlite_with_rowid=False,
)

task_uids = Table(
    "task_uids",
    metadata,
    Column("workflow_id", String(36), ForeignKey("workflows.id"), primary_key=True),
    Column("task_id", String(255), primary_key=True),
    Column("uid", String(36), nullable=False, unique=True),
    sqlite_with_rowid=False,
)
"""The stable name of a task for its own endpoints; kept across versions while its id stays."""

workflow_sources = Table(
    "workflow_sources",
    metadata,
    Column("workflow_id", String(36), ForeignKey("workflows.id"), primary_key=True),
    Column("source", String(200), nullable=False),
    Column("applied_by", String(36)),
    instant("applied_at", nullable=False),
    Index("ix_workflow_sources_source", "source"),
    sqlite_with_rowid=False,
)
"""Which workflows an `apply` made, and from which source of files: only those does `apply --prune` delete."""

deployments = Table(
    "deployments",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", String(36), ForeignKey("workflows.id"), nullable=False),
    Column("version", Integer),
    Column("action", String(16), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("message", Text),
    Column("deployed_by", String(36)),
    instant("at", nullable=False),
    CheckConstraint("action in ('deploy', 'undeploy', 'rollback')", name="action"),
    CheckConstraint("outcome in ('succeeded', 'failed')", name="outcome"),
    Index("ix_deployments_workflow_id_id", "workflow_id", "id"),
    sqlite_with_rowid=False,
)
