"""The units of docs/how-to/run-as-a-service.md: systemd takes them, and what they name is there."""

import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from millrace.config import load_settings
from tests.support.documents import REPOSITORY, blocks_of

PAGE = REPOSITORY / "docs" / "how-to" / "run-as-a-service.md"
PROGRAM = "/opt/millrace/.venv/bin/millrace"
FILES = {block.file: block.text for block in blocks_of(PAGE) if block.file}
UNITS = ("millrace.service", "millrace-backup.service", "millrace-backup.timer")


def unit(name: str) -> RawConfigParser:
    # A name may stand twice, as ExecStart does: for systemd these are several commands.
    parser = RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(FILES[name])
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units(name: str, tmp_path: Path) -> None:
    for file in UNITS:
        here = FILES[file].replace(PROGRAM, f"{Path(sys.executable).parent}/millrace")
        (tmp_path / file).write_text(here)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_units_say_fits_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    service, backup = unit("millrace.service")["Service"], unit("millrace-backup.service")["Service"]
    assert service["ExecStart"] == f"{PROGRAM} up"
    assert (backup["User"], backup["EnvironmentFile"]) == (service["User"], service["EnvironmentFile"])
    environment = dict(line.split("=", 1) for line in FILES["millrace.env"].splitlines() if not line.startswith("#"))
    assert service["StateDirectory"].split()[0] == Path(environment["MILLRACE_HOME"]).relative_to("/var/lib").as_posix()
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert float(service["TimeoutStopSec"]) > load_settings().stop_seconds == int(environment["MILLRACE_STOP_SECONDS"])
    assert {service["KillMode"], service["OOMPolicy"], service["Restart"]} == {"mixed", "continue", "on-failure"}
    assert "proxy_buffering off;" in FILES["millrace.conf"]
