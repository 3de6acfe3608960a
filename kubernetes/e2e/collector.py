"""What the consumer's HTTP handler calls while messages are counted: it remembers the body and the id of each message.

It runs in the cluster, on LocalStack's image for its Python. Each message takes it a while, so that some are under way
whenever a consumer ends. GET answers with all that were handled, a line each: the id, a space, the body.
"""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECONDS_PER_MESSAGE = 0.2

handled: list[bytes] = []
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        time.sleep(SECONDS_PER_MESSAGE)
        with lock:
            handled.append(self.headers["upbeat-id"].encode() + b" " + body)
        self.answer(b"")

    def do_GET(self) -> None:
        with lock:
            lines = b"".join(line + b"\n" for line in handled)
        self.answer(lines)

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


# Only the pods of this namespace come here.
Server(("0.0.0.0", 8080), Handler).serve_forever()  # noqa: S104
