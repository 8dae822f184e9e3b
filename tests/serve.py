"""A file server on the loopback address for tests of downloads: it counts, and can misbehave."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.gets.append(self.path)
        time.sleep(self.server.stall)
        if self.server.redirect:
            self.send_response(302)
            self.send_header("Location", f"{self.path}?again")
            return self.end_headers()
        if self.server.cut_after is None:
            return super().do_GET()
        data = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        if self.server.tells_length:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: self.server.cut_after])

    def log_message(self, *args):
        pass


class FileServer(ThreadingHTTPServer):
    """Serves a folder. `gets`: paths asked for; `cut_after`: stop each file at so many bytes;
    `stall`: seconds before an answer; `redirect`: every address leads to another."""

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.gets, self.cut_after, self.tells_length = [], None, True
        self.stall, self.redirect = 0, False

    def handle_error(self, request, client_address):
        """Say nothing: clients that have read enough hang up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve(folder: Path) -> Iterator[FileServer]:
    """A running `FileServer` for `folder`, stopped at the end of the block."""
    with FileServer(folder) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
