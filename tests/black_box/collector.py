"""What functions saw, told by themselves to a place that no crash of the server touches."""

import contextlib
import http.server
import json
import threading


@contextlib.contextmanager
def collector(poison=None):
    """Gives a URL to post `[anything, numbers]` to, and the list of what was posted, in order.

    With `poison`, a report is refused once for each multiple of it among the numbers, so that the function fails,
    whichever environment it runs in.
    """
    reports, refused = [], set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            poisoned = next((n for n in report[1] if poison and n % poison == 0 and n not in refused), None)
            if poisoned is None:
                reports.append(report)
            else:
                refused.add(poisoned)
            self.send_response(204 if poisoned is None else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    with listening(Handler) as url:
        yield url, reports


@contextlib.contextmanager
def listening(handler):
    """Serves `handler` on a free port and gives its URL."""
    with Listener(("127.0.0.1", 0), handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.server_port}/"
        finally:
            listener.shutdown()


class Listener(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_):
        """A function whose server was killed does not wait for its answer."""
