"""I5, I7: what is served to other machines is encrypted or said not to be; HTTPS; limits that processes share."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import warnings
from pathlib import Path

import httpx2
import pytest

from tests.support.certificates import certificate
from tests.support.cluster import Cluster, database
from tests.support.server import MillraceProcess, until

PLAIN = {"MILLRACE_APPLY_EXAMPLES": "false"}


def refused(home: Path, *options: str, **settings: str) -> str:
    """What a start that is refused says."""
    process = MillraceProcess(home, command=("up", *options), **PLAIN, **settings)
    process.spawn()
    status = process.wait()
    assert status in (1, 2), process.log.read_text()
    return process.log.read_text()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - it is refused
def test_clear_text_for_other_machines_is_refused_with_the_remedies(tmp_path: Path, host: str) -> None:
    said = refused(tmp_path / "home", MILLRACE_HOST=host)
    for remedy in ("MILLRACE_TLS_CERT", "MILLRACE_TRUSTED_PROXIES", "MILLRACE_ALLOW_INSECURE_PUBLIC", "--tls-cert"):
        assert remedy in said
    assert not (tmp_path / "home").exists(), "a refused start leaves nothing behind"
    assert "MILLRACE_TLS_CERT" in refused(tmp_path / "home", "--host", host)


@pytest.mark.parametrize(
    "remedy", [{"MILLRACE_ALLOW_INSECURE_PUBLIC": "true"}, {"MILLRACE_TRUSTED_PROXIES": "192.0.2.1"}]
)
def test_each_remedy_lets_it_start_and_the_command_line_finds_it(tmp_path: Path, remedy: dict[str, str]) -> None:
    with MillraceProcess(tmp_path / "home", MILLRACE_HOST="0.0.0.0", **PLAIN, **remedy) as server:  # noqa: S104
        assert json.loads((server.home / "server.json").read_text())["url"] == server.url
        assert "no problems" in server.millrace("doctor").stdout
        assert ("clear text" in server.log.read_text()) == ("MILLRACE_ALLOW_INSECURE_PUBLIC" in remedy)


def test_files_that_make_no_https_are_named(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    _, other = certificate(tmp_path, "other")
    _, sealed = certificate(tmp_path, "sealed", b"secret")
    home, nothing = tmp_path / "home", tmp_path / "nothing"
    assert f"MILLRACE_TLS_CERT: the file {nothing} cannot be read" in _tls(home, nothing, key)
    assert f"MILLRACE_TLS_KEY: the file {nothing} cannot be read" in _tls(home, cert, nothing)
    assert "is not that of the first certificate" in _tls(home, cert, other)
    assert "is encrypted" in _tls(home, tmp_path / "sealed.pem", sealed)
    nothing.write_text("no certificate")
    assert "no certificate and no key as PEM" in _tls(home, nothing, key)
    assert "belong together" in refused(home, MILLRACE_TLS_CERT=str(cert))


def _tls(home: Path, cert: Path, key: Path) -> str:
    return refused(home, "--tls-cert", str(cert), "--tls-key", str(key))


def test_https_from_the_first_request_to_a_new_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "millrace.example.com")
    server = MillraceProcess(
        tmp_path / "home",
        MILLRACE_TLS_CERT=str(cert),
        MILLRACE_TLS_KEY=str(key),
        MILLRACE_HOST="0.0.0.0",  # noqa: S104
        **PLAIN,
    )
    server.spawn()
    try:
        until(lambda: "Millrace is ready at https://" in server.log.read_text())
        url = f"https://127.0.0.1:{server.port}"
        assert json.loads((server.home / "server.json").read_text())["url"] == url
        # The command line and the client believe this very certificate, though its name is another.
        assert "no problems" in server.millrace("doctor").stdout
        assert _health(server) == "ok"
        believed = ssl.create_default_context(cafile=str(cert))
        with httpx2.Client(verify=believed, base_url=url, trust_env=False) as browser:
            answer = browser.get("/health")
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
            body = {"setup_key": server.api_key, "email": "a@example.com", "name": "A", "password": "quiet-harbour-42"}
            assert browser.post("/api/v1/auth/setup", json=body).is_success
            login = browser.post("/api/v1/auth/login", json={"email": body["email"], "password": body["password"]})
            assert login.headers["Set-Cookie"].startswith("__Host-millrace_session=")
            assert "Secure" in login.headers["Set-Cookie"]
        too_old = ssl.create_default_context(cafile=str(cert))
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            too_old.minimum_version = too_old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", server.port)) as plain, pytest.raises(ssl.SSLError):
            too_old.wrap_socket(plain, server_hostname="127.0.0.1")
        first = ssl.get_server_certificate(("127.0.0.1", server.port))
        fresh_cert, fresh_key = certificate(tmp_path, "fresh.example.com")
        key.write_bytes(b"no key")
        server.signal(signal.SIGHUP)
        until(lambda: "the certificate stays as it was" in server.log.read_text())
        assert ssl.get_server_certificate(("127.0.0.1", server.port)) == first
        cert.write_bytes(fresh_cert.read_bytes())
        key.write_bytes(fresh_key.read_bytes())
        server.signal(signal.SIGHUP)
        until(lambda: ssl.get_server_certificate(("127.0.0.1", server.port)) != first)
    finally:
        server.stop()


def _health(server: MillraceProcess) -> str:
    """What the Python client hears from the server that it finds in the home."""
    program = "from millrace.client import Client\nwith Client() as client: print(client.system.health()['status'])"
    asked = subprocess.run([sys.executable, "-c", program], env=server.environment, capture_output=True, text=True)
    return asked.stdout.strip() or asked.stderr


def test_authorities_are_named_for_a_server_elsewhere(tmp_path: Path) -> None:
    """The note does not say `localhost`, so this could be any server."""
    cert, key = certificate(tmp_path)
    server = MillraceProcess(tmp_path / "home", MILLRACE_TLS_CERT=str(cert), MILLRACE_TLS_KEY=str(key), **PLAIN)
    server.spawn()
    try:
        until(lambda: "Millrace is ready" in server.log.read_text())
        to_it = ("doctor", "--server", f"https://localhost:{server.port}")
        assert "MILLRACE_CA" in server.millrace(*to_it, check=False).stderr
        assert "no problems" in server.millrace("--ca", str(cert), *to_it).stdout
        said = server.millrace("--ca", str(tmp_path / "nothing"), *to_it, check=False)
        assert said.returncode == 2
        assert "MILLRACE_CA" in said.stderr
    finally:
        server.stop()


def test_a_certificate_of_a_stranger_is_not_believed(tmp_path: Path) -> None:
    """The note names the server's own; another one at the same address is somebody else."""
    cert, key = certificate(tmp_path)
    other, _ = certificate(tmp_path, "other")
    server = MillraceProcess(tmp_path / "home", MILLRACE_TLS_CERT=str(cert), MILLRACE_TLS_KEY=str(key), **PLAIN)
    server.spawn()
    try:
        until(lambda: "Millrace is ready" in server.log.read_text())
        note = json.loads((server.home / "server.json").read_text())
        (server.home / "server.json").write_text(json.dumps({**note, "certificate": str(other)}))
        said = server.millrace("doctor", check=False)
        assert said.returncode == 4
        assert "MILLRACE_CA" in said.stderr
    finally:
        server.stop()


def test_processes_share_a_limit(tmp_path: Path) -> None:
    """Each of the two would let 80 pass by itself."""
    with (
        database() as url,
        Cluster(tmp_path, url, MILLRACE_RATE_LIMIT_KEY="80/h", MILLRACE_RATE_LIMIT_ANONYMOUS="off") as cluster,
    ):
        first, second = cluster.start("up", "up")
        with first.client() as one, second.client() as other:
            assert [one.get("/runs").status_code for _ in range(9)] == [200] * 9
            assert cluster.ask("select * from rate_counts") == []
            assert [one.get("/runs").status_code for _ in range(71)] == [200] * 71
            assert one.get("/runs").status_code == 429
            until(lambda: cluster.ask("select from rate_counts where empty_at > now_us() + 3500000000"))
            # The other tells, and hears of it, once it has counted an eighth of the limit itself.
            assert [other.get("/runs").status_code for _ in range(12)] == [200] * 12
            until(lambda: cluster.ask("select from rate_counts where empty_at > now_us() + 4000000000"))
            passed = 0
            while other.get("/runs").status_code == 200:
                passed += 1
            assert passed < 40, "by itself it would let 68 more pass"
