"""Test container that logs a line at its start and answers health checks."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class LoggingHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


print("it starts", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), LoggingHandler).serve_forever()
