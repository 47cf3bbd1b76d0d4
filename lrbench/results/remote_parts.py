"""Parts at a URL: one object for each pack, written by who trained it, fetched by who makes the tables of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lrbench.errors import StoreError
from lrbench.results import part_file

_WITHOUT_FOLDERS = {"gcs", "s3"}
"""File systems whose folders are parts of names; Arrow would create an empty object for each."""


class RemoteParts:
    """A folder of an object store, or of any file system that Arrow knows by a URL.

    An object is there whole or not at all, once it is closed.

    Args:
        url: such as `s3://bucket/folder`; what Arrow takes as options may follow, such as `?endpoint_override=127.0.0.1:9000&scheme=http`.
            Keys come from the environment or the machine's role.

    Raises:
        StoreError: if it is no such URL.
    """

    def __init__(self, url: str) -> None:
        """Nothing is read or written yet."""
        import pyarrow as pa
        import pyarrow.fs

        try:
            self._files, self._folder = pa.fs.FileSystem.from_uri(url)
        except (pa.ArrowInvalid, OSError) as error:
            why = " ".join(str(error).split())
            raise StoreError(f"{url}: is no URL for parts: {why}; such as s3://bucket/folder") from error

    def write(self, pack_id: str, data: bytes) -> None:
        """Write the part of a pack."""
        if self._files.type_name not in _WITHOUT_FOLDERS:
            self._files.create_dir(self._folder)
        with self._files.open_output_stream(self._path(pack_id)) as stream:
            stream.write(data)

    def read(self, pack_id: str) -> bytes:
        """Return the part of a pack."""
        with self._files.open_input_file(self._path(pack_id)) as file:
            data: bytes = file.read()
        return data

    def contains(self, pack_id: str, run_ids: np.ndarray) -> bool:
        """Return whether the part of a pack is there, and holds exactly these runs.

        Raises:
            OSError: if that cannot be known.
        """
        import pyarrow.fs

        if self._files.get_file_info(self._path(pack_id)).type == pyarrow.fs.FileType.NotFound:
            return False
        with self._files.open_input_file(self._path(pack_id)) as file:
            return part_file.contains(file, Path(self._path(pack_id)), run_ids)

    def _path(self, pack_id: str) -> str:
        return f"{self._folder}/{pack_id}.parquet"
