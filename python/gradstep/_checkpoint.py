"""A file with all requests of a fit to its rows, and their answers. With it, a fit that was ended early can go on.

The requests of a fit follow from its arguments and the answers so far. So the fit is repeated with the answers in the
file, without reading a row, and goes on with the first request that is not in the file. The file begins with `MAGIC`
and a head, a JSON text that says which fit the file is of. Then come records, one for each request: a digest of the
request, and the answer. A frame stands before the head and before each record: the length and the CRC-32 of its bytes.
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
"""A frame: the length and the CRC-32 of the head or the record that follows."""
DIGEST = 16


class Checkpoint:
    """Records the requests of a fit and their answers in a file, and recalls the answers that are in it already.

    Use it as a context manager: the file is removed when the block ends, and stays if the block raises.

    Parameters
    ----------
    path : str or path
        A file that an earlier run of this fit has left, or the name of a new file.
    fit : mapping
        All that requests and answers depend on, by name: numbers, words, None, or arrays. If the file is of another
        fit, the error names the value that differs.

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If the file is of another fit, or is no checkpoint of gradstep.
    OSError
        If the file cannot be read or written.
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
        """The answer to this request if the next record of the file is of this request; else None.

        Otherwise, the file has no next record, or the next record is incomplete, or of another request, which an
        earlier fit made after its callback had ended it. Then the file is cut off before this record, and later calls
        return None.
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
        """Whether the file has a whole head. If not, the file is written anew; but a file that begins with other bytes
        than `MAGIC` is refused, since it is no checkpoint."""
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
    """A value in the form that JSON can hold; for an array, its shape, dtype and digest."""
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
