"""Agents and looks at their health as they are shown: `***` in place of everything secret."""

import orjson

from millrace.app.agents.repository import AgentRow, CheckRow
from millrace.core.errors import NotFound
from millrace.core.values import Instant, JsonObject, to_iso


def agent_view(row: AgentRow, now: Instant) -> JsonObject:
    return {
        "id": row.id,
        "name": row.name,
        "url": row.url,
        "description": row.description,
        "auth_type": row.auth_type,
        "auth_config": orjson.loads(row.auth_config),
        "timeout_ms": row.timeout_ms,
        "retry_config": orjson.loads(row.retry_config),
        "max_concurrent": row.max_concurrent,
        "health_path": row.health_path,
        "status": row.status,
        "health": health_view(row),
        "circuit": circuit_view(row, now),
        "version": row.version,
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "created_at": to_iso(row.created_at),
        "updated_at": to_iso(row.updated_at),
    }


def health_view(row: AgentRow) -> JsonObject:
    return {
        "status": row.health,
        "message": row.health_message,
        "latency_ms": row.health_latency_ms,
        "checked_at": _moment(row.health_checked_at),
    }


def circuit_view(row: AgentRow, now: Instant) -> JsonObject:
    return {
        "state": row.circuit.state(now).value,
        "failures": row.circuit_failures,
        "open_until": _moment(row.circuit_open_until),
    }


def check_view(row: CheckRow) -> JsonObject:
    return {
        "id": row.id,
        "healthy": row.healthy,
        "asked": row.asked,
        "http_status": row.http_status,
        "latency_ms": row.latency_ms,
        "message": row.message,
        "at": to_iso(row.at),
    }


def unknown_agent(reference: str) -> NotFound:
    return NotFound("agent_not_found", f"there is no agent {reference[:100]!r}")


def _moment(instant: Instant | None) -> str | None:
    return None if instant is None else to_iso(instant)
