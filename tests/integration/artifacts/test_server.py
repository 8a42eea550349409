"""Files through a server process and the command line: large ones in bounded memory, no damaged one as a whole."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from millrace.ports.objects import OWNER
from tests.support.server import MillraceProcess

MIB = 1024 * 1024
LARGE = int(os.environ.get("MILLRACE_TEST_LARGE_MIB", "50")) * MIB
BLOCK = bytes(range(256)) * 1024


@pytest.fixture(scope="module")
def millrace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MillraceProcess]:
    with MillraceProcess(tmp_path_factory.mktemp("server") / "home", MILLRACE_APPLY_EXAMPLES="false") as running:
        yield running


def highest_memory(process: MillraceProcess) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def blocks(size: int) -> Iterator[bytes]:
    for _ in range(size // len(BLOCK)):
        yield BLOCK


def test_a_large_file_goes_in_and_out_in_bounded_memory(millrace: MillraceProcess) -> None:
    with millrace.client() as client:
        client.post("/artifacts", params={"name": "warm"}, content=BLOCK).raise_for_status()
        before = highest_memory(millrace)
        response = client.post("/artifacts", params={"name": "large.bin"}, content=blocks(LARGE))
        assert response.status_code == 201, response.text
        shown = response.json()
        digest = hashlib.sha256()
        with client.stream("GET", f"/artifacts/{shown['id']}/content") as answer:
            for part in answer.iter_bytes():
                digest.update(part)
        assert shown["size"] == LARGE
        assert digest.hexdigest() == shown["sha256"]
        assert highest_memory(millrace) - before < 24 * MIB


def test_a_damaged_file_breaks_off(millrace: MillraceProcess) -> None:
    with millrace.client() as client:
        shown = client.post("/artifacts", params={"name": "x"}, content=blocks(4 * MIB)).json()
        place = millrace.home / "artifacts" / "objects" / "uploads" / shown["id"]
        with place.open("r+b") as file:
            file.write(b"damaged")
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get(f"/artifacts/{shown['id']}/content")
        ended = millrace.millrace("artifacts", "download", shown["id"], "-o", str(millrace.home / "x"), check=False)
        assert ended.returncode == 1
        assert "broke off" in ended.stderr
        assert not (millrace.home / "x").exists()
        assert client.get("/artifacts").status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(millrace: MillraceProcess) -> None:
    class Gone(Exception):
        pass

    def broken() -> Iterator[bytes]:
        yield from blocks(4 * MIB)
        raise Gone

    folder = millrace.home / "artifacts"
    before = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != OWNER)
    with millrace.client() as client:
        listed = client.get("/artifacts").json()
        with pytest.raises(Gone):
            client.post("/artifacts", params={"name": "x"}, content=broken())
        assert client.get("/artifacts").json() == listed
    now = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != OWNER)
    assert [path for path in now if path.parent.name != "incoming"] == before


def test_the_command_line_sends_lists_fetches_and_deletes(millrace: MillraceProcess, tmp_path: Path) -> None:
    (tmp_path / "report.csv").write_bytes(b"a,b\n1,2\n")
    id_ = millrace.millrace("artifacts", "upload", str(tmp_path / "report.csv")).stdout.strip()
    (found,) = json.loads(millrace.millrace("artifacts", "list", "--name", "report", "--json").stdout)
    assert (found["id"], found["name"], found["media_type"], found["size"]) == (id_, "report.csv", "text/csv", 8)
    table = millrace.millrace("artifacts", "list", "--name", "report").stdout.splitlines()
    assert table[0].split() == ["ID", "NAME", "SIZE", "TASK", "CREATED"]
    assert table[1].split()[:5] == [id_, "report.csv", "8", "B", "(sent)"]

    (tmp_path / "there").mkdir()
    assert millrace.millrace("artifacts", "download", id_, cwd=tmp_path / "there").stdout.strip() == "report.csv"
    assert (tmp_path / "there" / "report.csv").read_bytes() == b"a,b\n1,2\n"
    refused = millrace.millrace("artifacts", "download", id_, cwd=tmp_path / "there", check=False)
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    millrace.millrace("artifacts", "download", id_, "--force", cwd=tmp_path / "there")
    assert millrace.millrace("artifacts", "download", id_, "-o", "-").stdout == "a,b\n1,2\n"
    assert os.listdir(tmp_path / "there") == ["report.csv"]

    millrace.millrace("artifacts", "delete", id_, "--yes")
    gone = millrace.millrace("artifacts", "download", id_, check=False)
    assert (gone.returncode, "artifact" in gone.stderr) == (2, True)


def test_standard_input_is_sent_under_a_name(millrace: MillraceProcess) -> None:
    unnamed = millrace.millrace("artifacts", "upload", "-", input="x", check=False)
    assert (unnamed.returncode, "--name" in unnamed.stderr) == (2, True)
    shown = json.loads(
        millrace.millrace("artifacts", "upload", "-", "--name", "in.txt", "--json", input="typed").stdout
    )
    assert (shown["name"], shown["media_type"], shown["size"]) == ("in.txt", "text/plain", 5)


def test_a_file_that_cannot_be_sent_is_named(millrace: MillraceProcess, tmp_path: Path) -> None:
    missing = millrace.millrace("artifacts", "upload", str(tmp_path / "none"), check=False)
    assert (missing.returncode, "none cannot be read" in missing.stderr) == (2, True)
