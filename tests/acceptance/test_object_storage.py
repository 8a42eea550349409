"""Several processes that share no folder, only PostgreSQL and a bucket of a real S3 server that checks signatures."""

import base64
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support.cluster import Cluster, database
from tests.support.s3_server import Bucket, s3_server
from tests.support.server import MillraceProcess, create_workflow, until, wait_finished

pytestmark = [pytest.mark.service("s3"), pytest.mark.service("postgres")]

LARGE = "x" * 100_000


@dataclass(frozen=True)
class Shared:
    api: MillraceProcess
    bucket: Bucket
    homes: tuple[Path, ...]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder, bucket = tmp_path_factory.mktemp("apart"), s3_server().bucket()
    key = base64.b64encode(os.urandom(32)).decode()
    with database() as url, Cluster(folder, url, MILLRACE_ENCRYPTION_KEY=key, **bucket.settings) as cluster:
        processes = [cluster.process([role], home=f"of-{role}") for role in ("api", "worker", "scheduler")]
        for process in processes:
            process.spawn()
        for process in processes:
            process.wait_until_ready()
        yield Shared(processes[0], bucket, tuple(process.home for process in processes))


@pytest.fixture
def client(shared: Shared) -> Iterator[httpx2.Client]:
    with shared.api.client() as client:
        yield client


def test_a_file_that_a_worker_wrote_is_downloaded_from_the_api_and_deleted(
    shared: Shared, client: httpx2.Client
) -> None:
    make = {"command": "seq 100000 > numbers.txt", "outputs": {"numbers": "numbers.txt"}}
    create_workflow(client, {"name": "make", "tasks": [{"id": "make", "type": "shell", "config": make}]})
    run = client.post("/workflows/make/execute", json={}).json()
    assert wait_finished(client, run["id"])["status"] == "completed"
    (file,) = client.get(f"/runs/{run['id']}/artifacts").json()["items"]
    content = client.get(f"/artifacts/{file['id']}/content").content
    assert content == b"".join(b"%d\n" % number for number in range(1, 100_001))
    assert hashlib.sha256(content).hexdigest() == file["sha256"]
    some = client.get(f"/artifacts/{file['id']}/content", headers={"Range": "bytes=2-5"})
    assert (some.status_code, some.content) == (206, b"2\n3\n")
    assert [key for key in shared.bucket.objects() if file["id"] in key]
    assert client.delete(f"/artifacts/{file['id']}").status_code == 204
    assert not [key for key in shared.bucket.objects() if file["id"] in key]
    assert not any((home / "artifacts").exists() for home in shared.homes)


def test_a_file_that_was_sent_to_the_api_is_read_by_a_worker(shared: Shared, client: httpx2.Client) -> None:
    sent = client.post("/artifacts", params={"name": "a.txt"}, content=b"from afar").json()
    read = {"command": 'cat "$MILLRACE_INPUTS/a.txt"', "inputs": {"a.txt": "{{ input.file }}"}}
    task = {"id": "read", "type": "shell", "config": read}
    create_workflow(client, {"name": "read", "tasks": [task], "output": "{{ tasks.read.output.stdout }}"})
    run = client.post("/workflows/read/execute", json={"input": {"file": sent["id"]}}).json()
    assert wait_finished(client, run["id"])["output"] == "from afar"


def test_values_too_large_for_the_database_go_through_the_bucket(shared: Shared, client: httpx2.Client) -> None:
    echo = {"id": "echo", "type": "transform", "config": {"output": "{{ input.text }}"}}
    create_workflow(client, {"name": "large", "tasks": [echo], "output": "{{ tasks.echo.output }}"})
    run = client.post("/workflows/large/execute", json={"input": {"text": LARGE}}).json()
    finished = wait_finished(client, run["id"])
    assert (finished["status"], finished["output"]) == ("completed", LARGE)
    assert client.get(f"/runs/{run['id']}").json()["input"] == {"text": LARGE}
    kept = [key for key in shared.bucket.objects() if key.startswith(f"runs/{run['id']}/")]
    assert len(kept) >= 2, kept


def test_the_doctor_looks_into_the_bucket(shared: Shared, client: httpx2.Client) -> None:
    assert shared.api.millrace("doctor", "--deep").stdout.strip().endswith("no problems")


def test_a_wrong_secret_key_is_told_and_work_without_files_goes_on(tmp_path: Path) -> None:
    settings = {**s3_server().bucket().with_secret("not-the-right-one").settings, "MILLRACE_APPLY_EXAMPLES": "false"}
    process = MillraceProcess(tmp_path / "home", **settings)
    process.spawn()
    try:
        until(lambda: "MILLRACE_S3_SECRET_ACCESS_KEY" in readiness(process), within=60)
        assert '"code":"artifact_store_unavailable"' in readiness(process)
        with process.client() as client:
            refused = client.post("/artifacts", params={"name": "a"}, content=b"x")
            assert (refused.status_code, refused.json()["code"]) == (503, "artifact_store_unavailable")
            echo = {"id": "echo", "type": "transform", "config": {"output": "{{ input.text }}"}}
            create_workflow(client, {"name": "large", "tasks": [echo], "output": "{{ tasks.echo.output }}"})
            run = client.post("/workflows/large/execute", json={"input": {"text": LARGE}}).json()
            assert wait_finished(client, run["id"])["output"] == LARGE
            problems = process.millrace("doctor", check=False)
            assert problems.returncode == 1
            assert "cannot be used" in problems.stdout
        log = process.log.read_text()
        assert "the secret key is wrong; mend MILLRACE_S3_SECRET_ACCESS_KEY" in log
        assert "not-the-right-one" not in log
    finally:
        process.kill()


def readiness(process: MillraceProcess) -> str:
    """What `/health/ready` says against it; nothing yet while nobody listens."""
    try:
        answer = httpx2.get(f"{process.url}/health/ready", timeout=5, trust_env=False)
    except httpx2.HTTPError:
        return ""
    assert answer.status_code == 503
    return answer.text


def test_settings_that_cannot_work_stop_the_start(tmp_path: Path) -> None:
    settings = {**s3_server().bucket().settings, "MILLRACE_S3_ALLOW_HTTP": "false"}
    process = MillraceProcess(tmp_path / "home", **settings)
    process.spawn()
    assert process.wait() != 0
    assert "MILLRACE_S3_ENDPOINT: http:// would send files in clear text" in process.log.read_text()
    assert "testing" not in process.log.read_text()
