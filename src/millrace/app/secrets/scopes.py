"""What a request says a secret or a connection is for: workflows by name, hosts; checked, and as it is kept."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from millrace.auth.scopes import column_of, names_in
from millrace.core.errors import Fault
from millrace.core.values import PLAIN_VALUES, InvalidValue, check_value
from millrace.ports.hosts import REMEDY, HostPattern

MOST_WORKFLOWS = 200
MOST_HOSTS = 50
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Scope:
    """What is not `given` stays as it is; `None` stands for all."""

    given: frozenset[str] = frozenset()
    workflows: Sequence[str] | None = None
    hosts: Sequence[str] | None = None

    def faults(self) -> list[Fault]:
        """Everything that is wrong with it."""
        return [
            *_faults("workflows", self.workflows, MOST_WORKFLOWS, _workflow_fault),
            *_faults("hosts", self.hosts, MOST_HOSTS, _host_fault),
        ]

    def kept_workflows(self, before: str | None) -> str | None:
        """The column of workflows, where it was `before`."""
        return _column(self.workflows) if "workflows" in self.given else before

    def kept_hosts(self, before: str | None) -> str | None:
        """The column of hosts, each in its one spelling, where it was `before`."""
        if "hosts" not in self.given:
            return before
        return None if self.hosts is None else _column(str(HostPattern.parse(host)) for host in self.hosts)

    def widened_hosts(self, before: str | None) -> list[Fault]:
        """What lets a secret go where it could not go so far."""
        if "hosts" not in self.given or before is None:
            return []
        allowed = [HostPattern.parse(host) for host in names_in(before) or ()]
        wanted = [None] if self.hosts is None else [HostPattern.parse(host) for host in self.hosts]
        return [
            Fault("hosts" if new is None else f"hosts[{position}]", "value_needed", WIDENS, GIVE_VALUE)
            for position, new in enumerate(wanted)
            if new is None or not any(new.within(one) for one in allowed)
        ]


AS_BEFORE = Scope()
WIDENS = "this lets the secret be sent to where it could not be sent so far, which takes its value"
GIVE_VALUE = "set it anew with value and hosts (PUT, `millrace secrets set --host`), or name hosts that it has now"


def _column(names: Iterable[str] | None) -> str | None:
    return None if names is None else column_of(names)


def _faults(
    field: str, entries: Sequence[str] | None, most: int, judge: Callable[[str, str], Fault | None]
) -> list[Fault]:
    if entries is None:
        return []
    if len(entries) > most:
        return [Fault(field, "too_long", f"at most {most}, this has {len(entries)}", "leave it out for all")]
    if not entries:
        return [Fault(field, "empty", "an empty list would let nobody use it", "name one, or send null for all")]
    found = (judge(f"{field}[{position}]", entry) for position, entry in enumerate(entries))
    return [fault for fault in found if fault is not None]


def _workflow_fault(path: str, name: str) -> Fault | None:
    if not name.strip() or len(name) > LONGEST_NAME:
        message = f"the name of a workflow has 1 to {LONGEST_NAME} characters"
        return Fault(path, "value", message, "write the name of a workflow")
    try:
        check_value(name)
    except InvalidValue as error:
        return Fault(path, "value", error.reason, PLAIN_VALUES)
    return None


def _host_fault(path: str, text: str) -> Fault | None:
    try:
        HostPattern.parse(text)
    except ValueError:
        return Fault(path, "value", "this is no host: a name or address, perhaps with a port, and nothing else", REMEDY)
    return None
