"""A real S3 server on this machine: moto's, which speaks the protocol over HTTP, pages its listings, and
installs from the package index like any library; the stores that people run (MinIO and others) do not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_server() -> Iterator[str]:
    """Start it, yield its address, and end it; the environment points s3fs to it, here and in processes that
    are started meanwhile."""
    if find_spec("moto") is None or find_spec("s3fs") is None:
        pytest.skip("needs the S3 server of moto, and s3fs: pip install 'moto[server]' s3fs")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    settings = SETTINGS | {"FSSPEC_S3_ENDPOINT_URL": address}
    before = {name: os.environ.get(name) for name in settings}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(address, process)
            os.environ.update(settings)
            _reload_fsspec()
            yield address
        finally:
            process.terminate()
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            _reload_fsspec()


def bucket_of(address: str) -> Any:
    """A file system of the server, with an empty bucket `pictures`."""
    import s3fs

    system = s3fs.S3FileSystem(endpoint_url=address, skip_instance_cache=True)
    system.mkdir("pictures")
    return system


def _reload_fsspec() -> None:
    """fsspec reads its settings from the environment once."""
    import fsspec.config
    import s3fs

    fsspec.config.conf.clear()
    fsspec.config.set_conf_env(fsspec.config.conf)
    s3fs.S3FileSystem.clear_instance_cache()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (OSError, urllib.error.URLError):
            if process.poll() is not None:
                raise RuntimeError("the S3 server ended") from None
            time.sleep(0.1)
    raise RuntimeError("the S3 server does not answer")
