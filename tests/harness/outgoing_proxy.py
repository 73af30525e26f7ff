"""Detection of clients that connect to another machine."""

import socket
import threading
from types import TracebackType
from typing import Self


class OutgoingProxy:
    """A proxy that forwards nothing: it records each request and disconnects."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that send every request to another machine through this proxy."""
        url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        here = "127.0.0.1,localhost"
        names = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "ALL_PROXY": url, "NO_PROXY": here}
        return names | {name.lower(): value for name, value in names.items()}

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # closed
                return
            with connection:
                request = connection.recv(1000).decode(errors="replace")
                self.asked.append(request.partition("\r\n")[0])
