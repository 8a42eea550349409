"""A small office for the ingest example: serves yesterday's orders as CSV, and takes the finished report.

python examples/ingest/serve.py            listens on 127.0.0.1:8801
GET  /orders.csv                           id,region,total
POST /reports                              any JSON; the last one is shown by GET /reports
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ORDERS = """id,region,total
1,eu,20
2,us,35
3,eu,5
4,apac,12
5,us,30
6,eu,75
"""


class Office(BaseHTTPRequestHandler):
    reports: list[object] = []  # noqa: RUF012 - shared by all requests on purpose

    def do_GET(self) -> None:
        if self.path == "/orders.csv":
            self._answer(200, ORDERS.encode(), "text/csv; charset=utf-8")
        elif self.path == "/reports":
            self._answer(200, json.dumps(self.reports[-1:]).encode(), "application/json")
        else:
            self._answer(404, b'{"error": "no such page"}', "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/reports":
            self._answer(404, b'{"error": "no such page"}', "application/json")
            return
        self.reports.append(json.loads(body))
        self._answer(201, json.dumps({"received": len(self.reports)}).encode(), "application/json")

    def _answer(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port", type=int, default=8801, help="0 takes a free port")
    server = ThreadingHTTPServer(("127.0.0.1", arguments.parse_args().port), Office)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
