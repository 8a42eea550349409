"""I5: pages of other origins may call the API where a setting names them, and never with cookies."""

from pathlib import Path

import httpx2

from tests.support.installation import Installation, installation

APP = "https://app.example.com"
RUNS = "/api/v1/runs"
PREFLIGHT = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-api-key"}


def told(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_by_default_no_other_origin_is_told_anything(millrace: Installation, api: httpx2.AsyncClient) -> None:
    for method in ("GET", "OPTIONS"):
        answer = await api.request(method, RUNS, headers={"Origin": APP, **PREFLIGHT})
        assert not told(answer)
    assert answer.status_code == 405


async def test_a_named_origin_may_call_with_a_key(tmp_path: Path) -> None:
    origins = (APP, "http://localhost:3000")
    async with installation(tmp_path / "home", cors_origins=origins) as millrace, millrace.client("") as page:
        before = await page.options(RUNS, headers={"Origin": APP, **PREFLIGHT})
        assert before.status_code == 204
        assert before.headers["Access-Control-Allow-Origin"] == APP
        assert "X-API-Key" in before.headers["Access-Control-Allow-Headers"]
        assert "PATCH" in before.headers["Access-Control-Allow-Methods"]
        answer = await page.get(RUNS, headers={"Origin": APP, "X-API-Key": millrace.key})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert "Origin" in answer.headers["Vary"]
        refused = await page.get(RUNS, headers={"Origin": APP})
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == APP
        assert "Access-Control-Allow-Credentials" not in {**before.headers, **answer.headers}


async def test_an_origin_is_compared_as_a_whole(tmp_path: Path) -> None:
    async with installation(tmp_path / "home", cors_origins=(APP,)) as millrace, millrace.client() as page:
        for origin in (f"{APP}.evil.example", f"{APP}:8443", "http://app.example.com", "null", APP.upper(), "*", ""):
            for method in ("GET", "OPTIONS"):
                answer = await page.request(method, RUNS, headers={"Origin": origin, **PREFLIGHT})
                assert not told(answer), origin
                assert "Origin" in answer.headers["Vary"]


async def test_all_origins_are_never_told_to_send_cookies(tmp_path: Path) -> None:
    async with installation(tmp_path / "home", cors_origins=("*",)) as millrace, millrace.client() as page:
        for method in ("GET", "OPTIONS"):
            answer = await page.request(method, RUNS, headers={"Origin": "https://any.example", **PREFLIGHT})
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers
