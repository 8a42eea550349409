# Printed by scripts/print-client from aio/workflows.py; changes belong there.
"""Workflows as wholes: create, read, change, apply, export, delete; and whether their triggers are awake."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from millrace.client.answers import part
from millrace.client.requests import (
    Definition,
    IfMatch,
    Tagged,
    definition_body,
    given,
    if_match_header,
    json_body,
    label_query,
    path_of,
    word_query,
)
from millrace.client.sync.following import Stream
from millrace.client.sync.resource import Resource
from millrace.client.types import (
    ApplyAnswer,
    DeletedWorkflow,
    RecordView,
    StopAnswer,
    TestModeView,
    ValidationAnswer,
    WorkflowDetail,
    WorkflowPage,
    WorkflowSummary,
)


class Workflows(Resource):
    """`client.workflows`. A workflow is named by its id, its name or its slug."""

    def list(
        self,
        *,
        status: str | Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        category: str | None = None,
        owner: str | None = None,
        name: str | None = None,
        source: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> WorkflowPage:
        """A page of the workflows by name; `name` is a part of it, `next_cursor` leads to the next page."""
        query = _filter(status, labels, category, owner, name, source) | {"cursor": cursor, "limit": limit}
        return cast(WorkflowPage, self._transport.get("/workflows", query))

    def iterate(
        self,
        *,
        status: str | Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        category: str | None = None,
        owner: str | None = None,
        name: str | None = None,
        source: str | None = None,
    ) -> Iterator[WorkflowSummary]:
        """All workflows that `list` would find on its pages."""
        return self._transport.pages("/workflows", _filter(status, labels, category, owner, name, source))

    def create(self, definition: Definition) -> WorkflowDetail:
        """A new workflow. It is deployed unless it is a draft or its definition says `deploy: false`.

        Raises `InvalidRequest` with every fault of the definition, and `Conflict` if the name is taken.
        """
        body = definition_body(definition)
        return cast(WorkflowDetail, self._transport.send("POST", "/workflows", body))

    def validate(self, definition: Definition) -> ValidationAnswer:
        """Check a definition without saving it. Raises `InvalidRequest` with every fault."""
        body = definition_body(definition)
        answer = self._transport.send("POST", "/workflows/validate", body, repeatable=True)
        return cast(ValidationAnswer, answer)

    def apply(self, definition: Definition, *, source: str | None = None, dry_run: bool | None = None) -> ApplyAnswer:
        """Make the workflow of this name what the definition says; the same again does nothing.

        With `source` it belongs to that source from then on, and can be found by it. `dry_run`: only say what would be
        done.
        """
        query = {"source": source, "dry_run": dry_run}
        answer = self._transport.send("POST", "/workflows/apply", definition_body(definition), query=query)
        return cast(ApplyAnswer, answer)

    def export(self, workflow: str) -> dict[str, Any]:
        """The newest definition such that `apply` of it changes nothing."""
        found = self.get(workflow)
        definition = dict(part(found, "definition"))
        state: dict[str, Any] = {"name": part(definition, "name")}
        del definition["name"]
        if part(found, "status") != "active":
            state["status"] = found["status"]
        if part(found, "deployed_version") is None and found["status"] != "draft":
            state["deploy"] = False
        return {**state, **definition}

    def get(self, workflow: str) -> WorkflowDetail:
        """A workflow with its newest definition."""
        return cast(WorkflowDetail, self._transport.get(self._workflow_path(workflow)))

    def get_tagged(self, workflow: str, known: Tagged[WorkflowDetail] | None = None) -> Tagged[WorkflowDetail]:
        """As `get`, with the ETag; `known` is answered itself, for little, when nothing has changed since."""
        return self._transport.tagged(self._workflow_path(workflow), known)

    def update(
        self,
        workflow: str,
        changes: Definition,
        *,
        replace: bool | None = None,
        if_match: IfMatch = None,
    ) -> WorkflowDetail:
        """Change the top-level fields given; `None` takes one out. With `replace` it is the whole definition.

        A changed definition becomes a new version, which is deployed unless the workflow is a draft or `changes` say
        `deploy: False`. Raises `Conflict` when `if_match` is no longer what there is.
        """
        answer = self._transport.send(
            "PATCH",
            self._workflow_path(workflow),
            definition_body(changes),
            query={"replace": replace},
            headers=if_match_header(if_match),
        )
        return cast(WorkflowDetail, answer)

    def delete(self, workflow: str, *, source: str | None = None, if_match: IfMatch = None) -> DeletedWorkflow | None:
        """Delete a workflow; with `source` only if it was applied from there. Its runs go on and stay readable.

        Those that were to start later are cancelled; answers how many, or `None` if there were none.
        """
        path, query = self._workflow_path(workflow), {"source": source}
        answer = self._transport.send("DELETE", path, query=query, headers=if_match_header(if_match))
        return cast(DeletedWorkflow | None, answer)

    def enable(self, workflow: str, *, if_match: IfMatch = None) -> WorkflowDetail:
        """Make a workflow active: its triggers start runs. Its newest version is deployed if none is."""
        path = self._workflow_path(workflow, "enable")
        return cast(WorkflowDetail, self._transport.send("POST", path, headers=if_match_header(if_match)))

    def disable(self, workflow: str, *, if_match: IfMatch = None) -> WorkflowDetail:
        """Pause a workflow: its triggers are silent, explicit starts still work."""
        path = self._workflow_path(workflow, "disable")
        return cast(WorkflowDetail, self._transport.send("POST", path, headers=if_match_header(if_match)))

    def test_mode(self, workflow: str) -> TestModeView:
        """Whether triggers of the workflow send an e-mail when they fire, to whom, and whether runs start."""
        return cast(TestModeView, self._transport.get(self._workflow_path(workflow, "test-mode")))

    def set_test_mode(
        self, workflow: str, on: bool, *, recipient: str | None = None, skip_execution: bool | None = None
    ) -> TestModeView:
        """Turn test mode on or off for a workflow; what is not given is as the settings of the server have it."""
        path = self._workflow_path(workflow, "test-mode")
        body = json_body(on=on, recipient=recipient, skip_execution=skip_execution)
        return cast(TestModeView, self._transport.send("PUT", path, body, repeatable=True))

    def clear_test_mode(self, workflow: str) -> TestModeView:
        """Let the workflow be as the settings of the server say again."""
        path = self._workflow_path(workflow, "test-mode")
        return cast(TestModeView, self._transport.send("DELETE", path, repeatable=True))

    def stop(self, workflow: str, *, reason: str | None = None) -> StopAnswer:
        """Cancel every run of the workflow that has not finished."""
        path = self._workflow_path(workflow, "stop")
        return cast(StopAnswer, self._transport.send("POST", path, json_body(reason=reason)))

    def stream(self, workflow: str, *, after: str | None = None) -> Stream[RecordView]:
        """The records of all runs of the workflow as they come, from now or from an earlier `position` on. No end.

        A workflow with a slash in its name is named by its id or slug here.
        """
        return Stream(self._transport, path_of("workflows", workflow, "stream"), {"after": after})


def _filter(
    status: str | Sequence[str] | None,
    labels: Mapping[str, str] | None,
    category: str | None,
    owner: str | None,
    name: str | None,
    source: str | None,
) -> dict[str, Any]:
    words, label = word_query(status), label_query(labels)
    return given(
        {"status": words, "label": label, "category": category, "owner": owner, "name": name, "source": source}
    )
