"""The tokens of a login, stolen where Millrace is two processes on one database: what one learns, both know at once.

Two real ones, so nothing is shared that they would not share on two machines: no memory, no clock of a test.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.cluster import Cluster, database
from tests.support.logins import ADA, PASSWORD, bearer
from tests.support.server import PATIENCE, MillraceProcess

pytestmark = pytest.mark.service("postgres")

ME = "/auth/me"


@dataclass(frozen=True)
class Place:
    """One process, as who has no key of the API sees it."""

    client: httpx2.Client
    log: Path

    def log_in(self) -> dict[str, Any]:
        form = {"grant_type": "password", "username": ADA, "password": PASSWORD}
        answer = self.client.post("/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        given: dict[str, Any] = answer.json()
        return given

    def refresh(self, given: dict[str, Any]) -> httpx2.Response:
        return self.client.post("/auth/refresh", json={"refresh_token": given["refresh_token"]})

    def opens(self, given: dict[str, Any]) -> bool:
        """Whether its access token does; what is refused is refused as anything is that never was one."""
        answer = self.client.get(ME, headers=bearer(given["access_token"]))
        assert answer.status_code in (200, 401), answer.text
        assert answer.status_code == 200 or answer.json()["code"] == "unauthenticated"
        return answer.status_code == 200


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    with database() as url, Cluster(tmp_path_factory.mktemp("two"), url) as cluster:
        here, there = cluster.start("api", "api")
        assert here.pid != there.pid
        with _place(here) as at_a, _place(there) as at_b:
            body = {"setup_key": here.api_key, "email": ADA, "name": "Ada", "password": PASSWORD}
            assert at_a.post("/auth/setup", json=body).status_code == 200
            yield Place(at_a, here.log), Place(at_b, there.log)


def _place(process: MillraceProcess) -> httpx2.Client:
    return httpx2.Client(base_url=f"{process.url}/api/v1", timeout=PATIENCE, trust_env=False)


def test_a_thief_at_another_process_who_comes_second_ends_the_login_where_the_owner_is(
    places: tuple[Place, Place],
) -> None:
    owners, thiefs = places
    given = owners.log_in()
    mine = owners.refresh(given).json()
    assert owners.opens(mine)
    assert thiefs.opens(mine), "a login holds in every process"
    assert thiefs.refresh(given).status_code == 401
    assert not owners.opens(mine), "refused by the very next request"
    assert not owners.opens(given)
    assert not thiefs.opens(mine)
    assert owners.refresh(mine).status_code == 401
    assert "came a second time; the login has ended" in thiefs.log.read_text()
    assert owners.opens(owners.log_in()), "the owner logs in anew"


def test_a_thief_at_another_process_who_comes_first_loses_what_he_got_when_the_owner_comes(
    places: tuple[Place, Place],
) -> None:
    owners, thiefs = places
    given = owners.log_in()
    taken = thiefs.refresh(given).json()
    assert thiefs.opens(taken)
    assert owners.refresh(given).status_code == 401
    assert not thiefs.opens(taken)
    assert not owners.opens(given)
    assert thiefs.refresh(taken).status_code == 401


def test_of_two_processes_that_are_asked_at_the_same_time_one_refreshes_and_the_login_ends(
    places: tuple[Place, Place],
) -> None:
    for _ in range(5):
        given = places[0].log_in()
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda place: place.refresh(given), places))  # noqa: B023 - done within the round
        assert sorted(answer.status_code for answer in answers) == [200, 401]
        taken = next(answer.json() for answer in answers if answer.status_code == 200)
        for place in places:
            assert not place.opens(taken)
            assert not place.opens(given)


def test_logging_out_at_one_process_is_known_to_the_other(places: tuple[Place, Place]) -> None:
    here, there = places
    given = here.log_in()
    assert there.opens(given)
    assert here.client.post("/auth/logout", headers=bearer(given["access_token"])).status_code == 204
    assert not there.opens(given)
    assert there.refresh(given).status_code == 401
