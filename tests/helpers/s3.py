"""An S3 of our own, on loopback: moto's server, in a thread of the test."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Without it Arrow asks the network who this machine is."""


class Store(NamedTuple):
    """A bucket named `bucket`."""

    client: Any
    options: str
    """What a URL needs after its `?`."""

    def url(self, folder: str) -> str:
        """Return the URL of a folder."""
        return f"s3://bucket/{folder}?{self.options}"

    def names(self) -> list[str]:
        """Return the names of all objects."""
        found = self.client.list_objects_v2(Bucket="bucket")
        return [each["Key"] for each in found.get("Contents", ())]


@contextlib.contextmanager
def s3() -> Iterator[Store]:
    """Give an empty bucket, and the environment that Arrow finds keys in."""
    import boto3
    import pytest
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        host, port = server.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield Store(client, f"endpoint_override={host}:{port}&scheme=http&region=us-east-1")
