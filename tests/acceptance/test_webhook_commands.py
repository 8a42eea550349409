"""`millrace webhooks create` as people use it: a secret that is not there yet is told at once, with what to do."""

import json
from pathlib import Path

from tests.support.server import MillraceProcess

DEFINITION = "name: shop\ntasks: [{id: a, type: noop}]\n"


def test_who_makes_a_webhook_is_told_of_a_secret_that_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(DEFINITION)
    create = ("webhooks", "create", "shop", "--auth", "github", "--secret", "hook")
    with MillraceProcess(tmp_path / "home", MILLRACE_APPLY_EXAMPLES="false") as server:
        server.millrace("apply", "-f", str(file))
        said = server.millrace(*create).stdout.splitlines()
        assert said[0].startswith("webhook ")
        assert said[-1].startswith("  warning: authentication: there is no secret 'hook'; ")
        assert "millrace secrets set hook" in said[-1]
        webhook_id = said[0].split()[1]
        assert len(json.loads(server.millrace("webhooks", "show", webhook_id).stdout)["warnings"]) == 1
        server.millrace("secrets", "set", "hook", input="a secret of this test")
        assert json.loads(server.millrace("webhooks", "show", webhook_id).stdout)["warnings"] == []
        assert "warning" not in server.millrace(*create).stdout
