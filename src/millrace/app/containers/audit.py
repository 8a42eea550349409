"""The audit log: a part of the container, put together by itself."""

from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.audit.keeping import OldAuditRows
from millrace.app.audit.queries import AuditQueries
from millrace.app.audit.sealing import AuditSeals
from millrace.app.audit.verifying import AuditVerifier


@dataclass(frozen=True, slots=True)
class AuditUseCases:
    queries: AuditQueries
    verifier: AuditVerifier
    seals: AuditSeals


def build_audit_use_cases(a: Adapters) -> AuditUseCases:
    return AuditUseCases(
        queries=AuditQueries(a.database),
        verifier=AuditVerifier(a.database, a.vault),
        seals=AuditSeals(a.database, a.vault),
    )


def old_audit_rows(a: Adapters) -> OldAuditRows:
    """For the rounds of retention."""
    return OldAuditRows(a.vault, a.settings.audit_days)
