"""Real servers for the pipeline's tests: PostgreSQL with passwords, and an S3 store; started once, stopped after."""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server that asks for passwords over TCP; user `reader` reads the database `shop`."""

    port: int
    password: str
    socket_folder: str

    def url(self, password: str | None = None, database: str = "shop") -> str:
        return f"postgresql://reader:{password or self.password}@127.0.0.1:{self.port}/{database}"


@dataclass(frozen=True)
class Store:
    """An S3 store with one bucket, `shop`."""

    options: dict[str, str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="lookalike-postgres-"))
    locks = tempfile.mkdtemp(prefix="lookalike-locks-")
    atexit.register(shutil.rmtree, locks)  # after pgserver's own exit, which takes a lock there
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", locks)
        import pgserver

    server = pgserver.get_server(folder, cleanup_mode=None)
    port = free_port()
    access = folder / "pg_hba.conf"
    access.write_text(f"host all reader 127.0.0.1/32 scram-sha-256\n{access.read_text()}")
    server.psql("create role reader login password 'hush-hush'")
    server.psql("create database shop")
    options = f"-h 127.0.0.1 -p {port} -k {folder}"
    pgserver.pg_ctl(["-w", "-o", options, "restart"], pgdata=folder, user=server.system_user)
    try:
        yield Postgres(port, "hush-hush", str(folder))
    finally:
        pgserver.pg_ctl(["-w", "-m", "fast", "stop"], pgdata=folder, user=server.system_user)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    port = free_port()
    server = Path(sys.executable).with_name("moto_server")
    environment = os.environ | {"AWS_EC2_METADATA_DISABLED": "true"}
    process = subprocess.Popen(
        [str(server), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        wait_for(port, process)
        yield Store({"endpoint_url": f"http://127.0.0.1:{port}", "key": "tester", "secret": "very-secret"})
    finally:
        process.terminate()
        process.wait(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, f"the server ended with {process.returncode}"
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port} after {seconds} s")
