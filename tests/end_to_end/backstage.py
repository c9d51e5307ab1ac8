"""What tests in other languages ask of the one who started their gateway: tokens, and that it stops and starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from tests.end_to_end.api import issue
from tests.services.gateway import GatewayProcess


@contextmanager
def backstage(gateway: GatewayProcess) -> Iterator[str]:
    """The URL of a server on loopback. `GET /token?tenant=…&seconds=…`; `POST /stop` (SIGTERM), `/kill`, `/start`:
    answered when it is done.
    """
    orders = {"/stop": gateway.stop, "/kill": gateway.kill, "/start": gateway.start}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            self._answer(200, issue(gateway, asked["tenant"][0], ttl_s=float(asked["seconds"][0])))

        def do_POST(self) -> None:
            try:
                orders[self.path]()
            except Exception as error:
                self._answer(500, repr(error))
            else:
                self._answer(200, "")

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: pytest shows what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
