"""What is kept of a person: a part of the container, put together by itself."""

from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.audit.queries import AuditQueries
from millrace.app.privacy.erasing import Erasure
from millrace.app.privacy.exporting import PersonalData
from millrace.auth.names import UserNames


@dataclass(frozen=True, slots=True)
class PrivacyUseCases:
    personal_data: PersonalData
    erasure: Erasure


def build_privacy_use_cases(a: Adapters, names: UserNames) -> PrivacyUseCases:
    return PrivacyUseCases(
        personal_data=PersonalData(a.database, a.clock, AuditQueries(a.database)),
        erasure=Erasure(a.database, a.clock, a.vault, names),
    )
