"""What the API does with tests of workflows: a part of the container, put together by itself."""

from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.runs.making import RunMaker
from millrace.app.runs.starting import RunStarter
from millrace.app.test_runs.dry_runs import DryRuns
from millrace.app.test_runs.starting import TestRuns, TestVersions
from millrace.app.workflows.catalog import Catalog


@dataclass(frozen=True, slots=True)
class TestUseCases:
    runs: TestRuns
    dry_runs: DryRuns


def build_test_use_cases(a: Adapters, catalog: Catalog, maker: RunMaker, starter: RunStarter) -> TestUseCases:
    versions = TestVersions(catalog, a.plans)
    return TestUseCases(
        runs=TestRuns(a.database, versions, maker, starter, a.clock),
        dry_runs=DryRuns(versions, a.evaluator, a.runners, a.secrets, a.clock),
    )
