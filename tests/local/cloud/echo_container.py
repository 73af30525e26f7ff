"""A container for tests: it echoes requests, and fails on request.

Environment: FAIL_WITH (exit at once with this message), NEVER_HEALTHY, IGNORE_SIGTERM, GREETING.
Body of an invocation, in JSON: `{"status": N}` answers with that status, `{"chunks": [...]}` sends them
one by one, `"break"` among them breaks the connection, `{"die": true}` ends the process.
"""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class EchoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    abandoned = 0

    def do_GET(self) -> None:
        self._answer(503 if "NEVER_HEALTHY" in os.environ else 200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = json.loads(body)
        if asked.get("die"):
            os._exit(3)
        time.sleep(asked.get("sleep", 0))
        if "chunks" in asked:
            self._stream(asked["chunks"], asked.get("pause", 0))
        else:
            self._answer(asked.get("status", 200), json.dumps(self._said(asked)).encode())

    def _said(self, asked: object) -> dict[str, object]:
        model = Path(os.environ["SM_MODEL_DIR"])
        return {
            "asked": asked,
            "pid": os.getpid(),
            "abandoned": EchoHandler.abandoned,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "environment": dict(os.environ),
            "model": {str(f.relative_to(model)): f.read_text() for f in model.rglob("*") if f.is_file()},
        }

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, chunks: list[str], pause: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for chunk in chunks:
                if chunk == "break":
                    self.close_connection = True
                    return
                data = chunk.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                time.sleep(pause)
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            EchoHandler.abandoned += 1
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """No line for each request."""


class EchoServer(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    if "FAIL_WITH" in os.environ:
        print(os.environ["FAIL_WITH"], flush=True)
        sys.exit(7)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    if "IGNORE_SIGTERM" not in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    EchoServer((os.environ["BIND_HOST"], port), EchoHandler).serve_forever()
