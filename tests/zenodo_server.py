"""A server on loopback that answers as Zenodo does."""

import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Zenodo:
    """A record on loopback, with the ways a connection can fail."""

    def __init__(self, *records: int) -> None:
        self.records = records
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.ranges = True
        self.cuts: list[int] = []  # the next answers end after so many bytes
        self.statuses: list[int] = []  # the next requests get these
        self.wrong_md5 = False
        zenodo = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                zenodo.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def listing(self) -> dict[str, object]:
        def md5(body: bytes) -> str:
            return "0" * 32 if self.wrong_md5 else hashlib.md5(body).hexdigest()

        return {
            "id": self.records[0],
            "metadata": {"license": {"id": "cc-by-4.0"}},
            "files": [
                {
                    "key": key,
                    "size": len(body),
                    "checksum": f"md5:{md5(body)}",
                    "links": {"self": f"{self.url}/api/records/{self.records[0]}/files/{key}/content"},
                }
                for key, body in self.files.items()
            ],
        }

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.path, request.headers.get("Range")))
        if self.statuses:
            request.send_error(self.statuses.pop(0))
            return
        if request.path in [f"/api/records/{record}" for record in self.records]:
            body, start = json.dumps(self.listing()).encode(), 0
        elif (key := request.path.removesuffix("/content").rpartition("/")[2]) in self.files:
            body, start = self.files[key], 0
            wanted = request.headers.get("Range")
            if wanted and self.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        else:
            request.send_error(404)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        part = body[start:]
        if self.cuts and request.path.endswith("/content"):
            part = part[: self.cuts.pop(0)]
        request.wfile.write(part)
        request.close_connection = True

    def fetched(self) -> list[tuple[str, str | None]]:
        return [(path.split("/")[-2], wanted) for path, wanted in self.requests if path.endswith("/content")]


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, body in members.items():
            file.writestr(name, body)
    return buffer.getvalue()
