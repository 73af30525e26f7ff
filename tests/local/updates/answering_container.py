"""A container for tests of updates: it answers with its version, and ends at once on SIGTERM.

Environment: VERSION, STATUS (of its answers), FAIL (exit instead of coming up), FAIL_IF (the same if there
is such a file).
Body of an invocation, in JSON: `{"sleep": seconds}` delays the answer, `{"status": N}` sets its status.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class AnsweringHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        time.sleep(asked.get("sleep", 0))
        status = asked.get("status", int(os.environ.get("STATUS", "200")))
        self._answer(status, {"version": os.environ.get("VERSION"), "pid": os.getpid()})

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No line for each request."""


class AnsweringServer(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    if "FAIL" in os.environ or Path(os.environ.get("FAIL_IF", "/no-such-file")).exists():
        sys.exit("this version does not come up")
    AnsweringServer(
        (os.environ["BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])), AnsweringHandler
    ).serve_forever()
