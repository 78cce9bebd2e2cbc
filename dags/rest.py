"""Airflow's REST API on this machine; never imports Airflow."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from dags.components import ComponentError, Home, Running, check_alive

Json = dict[str, Any]


class Api:
    """Airflow's REST API on this machine, with the generated login.

    Attributes:
        home: Airflow's home.
        running: The components.
    """

    def __init__(self, home: Home, running: Running) -> None:
        self.home = home
        self.running = running
        self.url = f"http://127.0.0.1:{running.port}"
        self.token = ""

    def password(self) -> str:
        """Return the generated password of `admin`."""
        return str(json.loads(self.home.passwords.read_text(encoding="utf-8"))["admin"])

    def login(self) -> None:
        """Take a token."""
        body = {"username": "admin", "password": self.password()}
        self.token = str(self.call("POST", "/auth/token", body)["access_token"])

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Send one request.

        Raises:
            urllib.error.HTTPError: If the answer is an error.
            urllib.error.URLError: If nobody listens.
        """
        request = urllib.request.Request(self.url + path, method=method)  # noqa: S310 - 127.0.0.1 only
        request.add_header("Content-Type", "application/json")
        request.add_header("Accept", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=60) as answer:  # noqa: S310 - 127.0.0.1 only
            content: Json = json.loads(answer.read() or b"{}")
        return content

    def find(self, path: str) -> Json | None:
        """Return what lies under a path; None if there is nothing."""
        try:
            return self.call("GET", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = 180) -> None:
        """Wait until something is ready, as long as all components live.

        Raises:
            ComponentError: If a component ends, or it takes too long.
        """
        limit = time.monotonic() + seconds
        while not ready():
            check_alive(self.home, self.running)
            if time.monotonic() > limit:
                raise ComponentError(f"{what}: not there after {seconds:.0f} seconds; see {self.home.logs}")
            time.sleep(0.3)
