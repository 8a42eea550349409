"""Nobody learns a secret from how long an answer takes. What is compared is the work, not the clock: a busy machine
measures nothing."""

import ast
from pathlib import Path
from typing import Any

import pytest
from pwdlib import PasswordHash

from tests.support.api import problem
from tests.support.installation import Installation
from tests.support.logins import ADA, PASSWORD, log_in, set_up

SOURCE = Path(__file__).parents[2] / "src" / "millrace"
SECRET_WORDS = {"signature", "digest", "expected", "hmac", "mac", "password_hash", "token_hash"}


def compared_in_plain(tree: ast.AST) -> list[int]:
    """Lines where `==` or `!=` stands between two values of which one is called like a secret."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = [node.left, *node.comparators]
            names = {one.id if isinstance(one, ast.Name) else one.attr
                     for one in sides if isinstance(one, ast.Name | ast.Attribute)}  # fmt: skip
            calls = {
                one.func.attr for one in sides if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
            }
            constant = any(isinstance(one, ast.Constant) for one in sides)
            if (names & SECRET_WORDS or calls & {"digest", "hexdigest"}) and not constant:
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("folder", ["triggers/webhook", "auth", "app/decisions", "app/webhooks", "app/identity"])
def test_signatures_and_secrets_are_compared_in_constant_time(folder: str) -> None:
    # Repositories ask the database for the hash of a random text, which an index finds: that is no comparison of ours.
    files = [file for file in sorted((SOURCE / folder).rglob("*.py")) if file.name != "repository.py"]
    assert files
    found = [f"{file.name}:{line}" for file in files for line in compared_in_plain(ast.parse(file.read_text("utf-8")))]
    assert found == [], "use hmac.compare_digest"
    assert compared_in_plain(ast.parse("if signature == given: pass\nif a.digest() != b: pass")) == [1, 2]


@pytest.mark.parametrize(
    "file",
    ["triggers/webhook/signatures.py", "triggers/webhook/verification.py", "auth/vault/signing.py"],
)
def test_what_decides_over_a_signature_uses_compare_digest(file: str) -> None:
    calls = {ast.unparse(one.func) for one in ast.walk(ast.parse((SOURCE / file).read_text("utf-8")))
             if isinstance(one, ast.Call)}  # fmt: skip
    assert "hmac.compare_digest" in calls


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each password that is put through Argon2, by the parameters of the hash that it is held against."""
    seen: list[str] = []
    real = PasswordHash.verify_and_update

    def verify(self: PasswordHash, password: str, kept: str) -> Any:
        seen.append("$".join(kept.split("$")[:4]))
        return real(self, password, kept)

    monkeypatch.setattr(PasswordHash, "verify_and_update", verify)
    return seen


async def test_an_account_that_is_not_there_costs_the_work_of_one_that_is(
    millrace: Installation, hashed: list[str]
) -> None:
    """One hash, of the same cost, and the same answer: known, unknown, disabled, without a password."""
    await set_up(millrace)
    async with millrace.client() as admin:
        made = await admin.post("/api/v1/users", json={"name": "Bea", "email": "bea@example.com", "role": "viewer",
                                                       "password": "stone-violet-river-77"})  # fmt: skip
        assert made.status_code == 201, made.text
        invited = await admin.post("/api/v1/users", json={"name": "Cy", "email": "cy@example.com", "role": "viewer"})
        assert invited.status_code == 201, invited.text
        bea = made.json().get("id") or made.json()["user"]["id"]
        assert (await admin.post(f"/api/v1/users/{bea}/disable")).status_code == 200
    async with millrace.client("") as client:
        told, costs = set(), []
        for email in (ADA, "nobody@example.com", "bea@example.com", "cy@example.com"):
            before = len(hashed)
            document = problem(await log_in(client, email, "wrong-password-of-13"), 401, "wrong_login")
            told.add((document["code"], document["detail"]))
            costs.append(hashed[before:])
    assert len(told) == 1
    assert all(len(cost) == 1 for cost in costs), costs
    assert len({cost[0] for cost in costs}) == 1, "the hash of nobody costs something else"


async def test_a_long_password_costs_no_more_than_a_short_one(millrace: Installation, hashed: list[str]) -> None:
    """Nobody ties up the server with a password of a megabyte."""
    await set_up(millrace)
    async with millrace.client("") as client:
        for password in ("x" * 900_000, PASSWORD * 50):
            response = await log_in(client, ADA, password)
            assert response.status_code in (401, 413, 422)
    assert len(hashed) <= 2
