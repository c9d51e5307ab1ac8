import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from gateway.telemetry.tracing import Tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_without_an_exporter_nothing_is_imported_and_a_block_just_runs() -> None:
    code = (
        "import sys; from gateway.telemetry import Tracing\n"
        "with Tracing().span('x', {'a': 1}): pass\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')], 'imported'"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=30)


def test_spans_reach_the_collector_on_the_callers_trace() -> None:
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        tracing = Tracing(f"http://127.0.0.1:{server.server_port}")
        with tracing.span("publish", {"events": 3}, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}):
            pass
        tracing.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert len(received) == 1
    assert b"publish" in received[0]
    assert bytes.fromhex(TRACE) in received[0]
