"""nginx and Caddy before a server, with the configuration of docs/how-to/run-as-a-service.md.

Only what is of that machine is another: ports, files, and the certificate that Caddy would fetch for itself.
"""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import program_of_system, service_url
from tests.support.certificates import certificate
from tests.support.server import MillraceProcess, until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-as-a-service.md"
NAME = "millrace.example.com"

NGINX = """
{user}
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {server}
}}
"""

CADDY = """
{{
    admin off
    auto_https disable_redirects
}}
{server}
tls {cert} {key}
"""


def documented(language: str) -> str:
    """The configuration that the page has in a block of this language."""
    found = re.search(rf"^```{language} \S+\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, f"{PAGE} has no block {language}"
    return found[1]


@contextmanager
def web_server(name: str, folder: Path, port: int, millrace: MillraceProcess) -> Iterator[Path]:
    """One that runs, by the certificate it has."""
    cert, key = certificate(folder, NAME)
    command = PROGRAMS[name](folder, port, f"127.0.0.1:{millrace.port}", cert, key)
    told = folder / f"{name}.log"
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with told.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        until(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, told.read_text()
        yield cert
    finally:
        process.terminate()
        process.wait(timeout=60)


def _nginx(folder: Path, port: int, upstream: str, cert: Path, key: Path) -> list[str]:
    server = _replaced(
        documented("nginx"),
        {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/millrace.pem": str(cert),
            "/etc/ssl/private/millrace.key": str(key),
            "127.0.0.1:8000": upstream,
        },
    )
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(NGINX.format(user=user, folder=folder, server=server))
    return [_program("nginx"), "-p", str(folder), "-e", f"{folder}/log", "-c", str(config), "-g", "daemon off;"]


def _caddy(folder: Path, port: int, upstream: str, cert: Path, key: Path) -> list[str]:
    server = _replaced(documented("caddy"), {f"{NAME}\n": f"https://{NAME}:{port}\n", "127.0.0.1:8000": upstream})
    config = folder / "Caddyfile"
    config.write_text(CADDY.format(server=server, cert=cert, key=key))
    return [_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]


PROGRAMS = {"nginx": _nginx, "caddy": _caddy}


def _replaced(text: str, changes: dict[str, str]) -> str:
    for there, here in changes.items():
        assert there in text, f"the page does not say {there}"
        text = text.replace(there, here)
    return text


def _program(name: str) -> str:
    found = program_of_system(service_url(name))
    assert found is not None, f"there is no {name}"
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
