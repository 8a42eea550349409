"""Workflows, their versions, and what has been deployed when."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from millrace.storage.tables.base import identifier, instant, metadata, short, where

workflows = Table(
    "workflows",
    metadata,
    identifier(primary_key=True),
    Column("name", short(255), nullable=False),
    Column("slug", short(255), nullable=False),
    Column("description", Text),
    Column("category", short(255)),
    Column("labels", Text, nullable=False, server_default="{}"),
    Column("metadata", Text, nullable=False, server_default="{}"),
    Column("owner", short(255)),
    Column("status", short(16), nullable=False),
    Column("newest_version", Integer, nullable=False),
    Column("deployed_version", Integer),
    Column("created_by", short(36)),
    Column("updated_by", short(36)),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    instant("deleted_at"),
    Column("test_mode", Text),
    CheckConstraint("status in ('draft', 'active', 'paused', 'inactive', 'archived')", name="status"),
    Index("uq_workflows_name_live", "name", unique=True, **where("deleted_at is null")),
    Index("uq_workflows_slug_live", "slug", unique=True, **where("deleted_at is null")),
    sqlite_with_rowid=False,
)  # fmt: skip

workflow_versions = Table(
    "workflow_versions",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", short(36), ForeignKey("workflows.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("tag", short(64)),
    Column("definition", Text, nullable=False),
    Column("content_hash", short(64), nullable=False),
    Column("author", short(36)),
    Column("comment", Text),
    instant("created_at", nullable=False),
    UniqueConstraint("workflow_id", "number"),
    UniqueConstraint("workflow_id", "tag"),
    sqlite_with_rowid=False,
)

task_uids = Table(
    "task_uids",
    metadata,
    Column("workflow_id", short(36), ForeignKey("workflows.id"), primary_key=True),
    Column("task_id", short(255), primary_key=True),
    Column("uid", short(36), nullable=False, unique=True),
    sqlite_with_rowid=False,
)
"""The stable name of a task for its own endpoints; kept across versions while its id stays."""

workflow_sources = Table(
    "workflow_sources",
    metadata,
    Column("workflow_id", short(36), ForeignKey("workflows.id"), primary_key=True),
    Column("source", short(200), nullable=False),
    Column("applied_by", short(36)),
    instant("applied_at", nullable=False),
    Index("ix_workflow_sources_source", "source"),
    sqlite_with_rowid=False,
)
"""Which workflows an `apply` made, and from which source of files: only those does `apply --prune` delete."""

deployments = Table(
    "deployments",
    metadata,
    identifier(primary_key=True),
    Column("workflow_id", short(36), ForeignKey("workflows.id"), nullable=False),
    Column("version", Integer),
    Column("action", short(16), nullable=False),
    Column("outcome", short(16), nullable=False),
    Column("message", Text),
    Column("deployed_by", short(36)),
    instant("at", nullable=False),
    CheckConstraint("action in ('deploy', 'undeploy', 'rollback')", name="action"),
    CheckConstraint("outcome in ('succeeded', 'failed')", name="outcome"),
    Index("ix_deployments_workflow_id_id", "workflow_id", "id"),
    sqlite_with_rowid=False,
)
