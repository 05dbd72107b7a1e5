"""The file from which a fit that was ended goes on: all that it has asked its rows, and their answers.

What a fit asks follows from its arguments and the answers so far. So it is repeated from the file without reading a
row, and goes on with the first request that is not there. A file has a head, a JSON text that says which fit it is of,
and then a record for each request: the length and the CRC-32 of what follows, a digest of the request, and the answer.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any
from zlib import crc32

import numpy as np

from gradstep import _native
from gradstep._options import kind

MAGIC = b"gradstep checkpoint 1\n"
FRAME = struct.Struct("<QI")
"""Before each record, and before the head: its length, and its CRC-32."""
DIGEST = 16


class Checkpoint:
    """Records the requests of a fit and their answers in a file, and recalls those that are in it.

    Use it as a context manager: the file is removed when the block ends, and stays if the block raises.

    Parameters
    ----------
    path : str or path
        A file of this fit, or none yet.
    fit : mapping
        What the answers depend on, by name, so that a message can say what differs: numbers, words, None, or arrays.

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If the file is of another fit, or none of gradstep's.
    OSError
        If it cannot be read or written.
    """

    def __init__(self, path: Any, fit: Mapping[str, Any]) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"checkpoint must be the path of a file, got {kind(path)}")
        self._path = os.fspath(path)
        head = {"gradstep": _native.__version__, **{name: _described(value) for name, value in fit.items()}}
        self._file = open(self._path, "a+b")  # noqa: SIM115 - closed by __exit__
        try:
            self._file.seek(0)
            if self._is_begun():
                self._check(head)
            else:
                self._file.truncate(0)
                self._file.write(MAGIC)
                self._write(json.dumps(head).encode())
        except BaseException:
            self._file.close()
            raise
        self._is_recalling = True

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if raised is None:
            with suppress(FileNotFoundError):
                os.remove(self._path)

    def recall(self, request: bytes) -> bytes | None:
        """The answer to this request if it is the next one of the file; None from the first one on that is not.

        That is the end, or a record that was not written to its end, or what was asked because a callback had ended the
        fit. What follows is left out of the file.
        """
        if not self._is_recalling:
            return None
        end = self._file.tell()
        record = self._next()
        if record is not None and record[:DIGEST] == _digest(request):
            return record[DIGEST:]
        self._is_recalling = False
        self._file.truncate(end)
        return None

    def record(self, request: bytes, answer: bytes) -> None:
        """Add a request and its answer."""
        self._write(_digest(request) + answer)

    def _is_begun(self) -> bool:
        """Whether the file has a head. One that ends within it has nothing yet."""
        begin = self._file.read(len(MAGIC))
        if begin != MAGIC and not MAGIC.startswith(begin):
            raise ValueError(
                f"checkpoint must be a new file, or one that an earlier fit left, got {self._path!r}, which is neither"
            )
        return len(begin) == len(MAGIC) and bool(self._peek())

    def _peek(self) -> bool:
        start = self._file.tell()
        found = self._next() is not None
        self._file.seek(start)
        return found

    def _check(self, head: dict[str, Any]) -> None:
        known = json.loads(self._next() or b"{}")
        for name in {**head, **known}:
            theirs, ours = known.get(name), json.loads(json.dumps(head.get(name)))
            if theirs != ours:
                got = f"one with {name}={theirs!r} instead of {ours!r}"
                if isinstance(theirs, dict) or isinstance(ours, dict):
                    got = f"one with another {name}"
                raise ValueError(
                    f"checkpoint must be a file of this fit, got {got}: {self._path!r}; remove it, or give another name"
                )

    def _next(self) -> bytes | None:
        frame = self._file.read(FRAME.size)
        if len(frame) < FRAME.size:
            return None
        length, checksum = FRAME.unpack(frame)
        rest = os.fstat(self._file.fileno()).st_size - self._file.tell()
        record = self._file.read(length) if length <= rest else b""
        return record if length <= rest and crc32(record) == checksum else None

    def _write(self, record: bytes) -> None:
        self._file.write(FRAME.pack(len(record), crc32(record)) + record)
        self._file.flush()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST).digest()


def _described(value: Any) -> Any:
    """A value as JSON; of an array, its shape, dtype and digest."""
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value)
        return {
            "shape": list(data.shape),
            "dtype": str(data.dtype),
            "digest": _digest(data.tobytes()).hex(),
        }
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    return value
