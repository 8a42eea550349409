"""I4: a process that is killed right after a change loses neither the row nor its seal, and the chain goes on."""

from pathlib import Path
from typing import Any

import httpx2

from tests.support.server import MillraceProcess, until


def verdict(client: httpx2.Client, head: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = client.post("/audit-logs/verify", json={"head": head}).json()
    return found


def test_what_was_committed_is_sealed_after_a_kill(tmp_path: Path) -> None:
    heads: list[str] = []
    changed = 0
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as process:
        for _ in range(3):
            with process.client() as client:
                for number in range(5):
                    name = f"secret_{changed}_{number}"
                    assert client.put(f"/secrets/{name}", json={"value": "hunter2hunter2"}).status_code == 201
                changed += 5
            process.kill()
            process.start()
            with process.client() as client:
                until(lambda client=client: verdict(client)["unsealed"] == 0)
                found = verdict(client)
                assert (found["ok"], found["checked"]) == (True, changed)
                assert all(verdict(client, head)["head_found"] for head in heads)
                heads.append(found["head"])
        listed = process.millrace("audit", "list", "--action", "secret.set", "--limit", "200").stdout
        assert listed.count("secret.set") == changed
        assert "rows as sealed" in process.millrace("audit", "verify", "--head", heads[0]).stdout
        assert process.millrace("audit", "verify", "--head", f"1:{'0' * 64}", check=False).returncode == 1
