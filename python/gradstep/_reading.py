"""Cuts blocks of rows into the chunks that native code asks for, on a thread ahead of it; and keeps rows on a disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradstep._arrays import Array
from gradstep._options import kind

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


class Block(NamedTuple):
    """Consecutive rows of a source. They follow the rows of the block before."""

    rows: int
    copy: Callable[[Array, int], None]
    """``copy(out, first)`` writes ``len(out)`` rows of the block to `out`, beginning with row `first` of the block."""
    columns: list[Array] | None = None
    """The columns, if each is a contiguous array: these rows need not be copied."""


class Rows(NamedTuple):
    """The features of a source, which can be read again and again."""

    blocks: Callable[[int], Iterator[Block]]
    """``blocks(count)`` returns a new iterator of all blocks. Blocks of a multiple of `count` rows are the fastest."""
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    by_columns: bool
    """Whether blocks hold the numbers of a column next to each other."""
    on_a_thread: bool
    """Whether blocks may be made on another thread than the caller's."""


class Reader:
    """Gives native code the rows that it asks for; to be used in a ``with``.

    A call with (first, count, next_first, next_count) returns rows as an array of shape (count, n), or as a list of
    columns. The array or the list is valid until the next call. Within a pass, calls are for one chunk after the other,
    in ascending order; row 0 begins a new pass. The last two arguments say which rows the next call will ask for: these
    are read meanwhile.

    Parameters
    ----------
    rows : Rows
        The rows.
    cache : str or path, optional
        A folder: the first pass writes the rows to a file there, and later passes read this file.
    """

    def __init__(self, rows: Rows, cache: Any = None) -> None:
        self._rows = rows
        self._threads = _Threads() if rows.on_a_thread else None
        self._cut = _Cut(rows, self._threads)
        self._kept = None if cache is None else _Kept(cache, rows)
        self._by_columns = rows.by_columns and cache is None  # the file is read by chunks of any size
        self._free: list[Array] = []
        self._lent: _Chunk | None = None
        self._next: tuple[tuple[int, int], Future[_Chunk]] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        self._cut.close()
        if self._threads is not None:
            self._threads.end()
        if self._kept is not None:
            self._kept.close()

    def __call__(self, first: int, count: int, next_first: int, next_count: int) -> Array | list[Array]:
        if self._lent is not None and self._lent.memory is not None:
            self._free.append(self._lent.memory)
        if self._threads is None:
            self._lent = self._made(first, count)
        else:
            self._lent = self._from_thread(self._threads.chunks, (first, count), (next_first, next_count))
        return self._lent.rows

    def _from_thread(self, thread: Executor, asked: tuple[int, int], following: tuple[int, int]) -> _Chunk:
        if self._next is None or self._next[0] != asked:  # as after an error in the middle of a pass
            self._forget()
            self._next = asked, thread.submit(self._made, *asked)
        future = self._next[1]
        self._next = (following, thread.submit(self._made, *following)) if following[1] else None
        return future.result()

    def _forget(self) -> None:
        if self._next is not None and not self._next[1].cancel():
            self._next[1].exception()  # waits for it
        self._next = None

    def _made(self, first: int, count: int) -> _Chunk:
        """`count` rows from `first` on: from the cache's file if it has them; else from the source, and then they are
        written to that file."""
        kept = self._kept
        is_kept = kept is not None and kept.has_all
        if first == 0 and not is_kept:
            self._cut.begin(count)
        if kept is None and (found := self._cut.columns(count)) is not None:
            return _Chunk(found, None)
        columns = self._rows.shape[1]
        memory = self._free.pop() if self._free else None
        if memory is None or len(memory) < count * columns:
            memory = np.empty(count * columns, self._rows.dtype)
        numbers = memory[: count * columns]
        rows = numbers.reshape(columns, count).T if self._by_columns else numbers.reshape(count, columns)
        if kept is not None and is_kept:
            kept.read(first, numbers)
        else:
            self._cut.fill(rows)
        if kept is not None and not is_kept:
            kept.write(first, numbers)
        return _Chunk(rows, memory)


class _Chunk(NamedTuple):
    """Rows for native code."""

    rows: Array | list[Array]
    memory: Array | None
    """The memory that the rows were copied to, for later chunks; None if `rows` are the source's own arrays."""


class _Threads:
    """The threads that read: one gets blocks, the other cuts chunks out of them."""

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.blocks = ThreadPoolExecutor(1, "gradstep-blocks")
        self.chunks = ThreadPoolExecutor(1, "gradstep-chunks")

    def end(self) -> None:
        """Wait until both threads have ended."""
        self.chunks.shutdown()
        self.blocks.shutdown()

    def ahead(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks of `blocks`. While one block is used, the next one is fetched on a thread."""
        future = self.blocks.submit(next, blocks, None)
        try:
            while (block := future.result()) is not None:
                future = self.blocks.submit(next, blocks, None)
                yield block
        finally:
            future.exception()  # waits for it
            if hasattr(blocks, "close"):
                blocks.close()


class _Cut:
    """Copies rows out of blocks of any size, in ascending order of the rows."""

    def __init__(self, rows: Rows, threads: _Threads | None) -> None:
        self._rows = rows
        self._threads = threads
        self._blocks: Iterator[Block] = iter(())
        self._block: Block | None = None
        self._next = 0
        """The next row of the source."""
        self._within = 0
        """The number of this next row in its block."""

    def close(self) -> None:
        """Close the iterator of the blocks, and with it the files that it reads."""
        if hasattr(self._blocks, "close"):
            self._blocks.close()
        self._blocks, self._block = iter(()), None

    def begin(self, size: int) -> None:
        """Go back to the first row. From now on, every request is for `size` rows."""
        self.close()
        self._blocks, self._next = self._rows.blocks(size), 0
        if self._threads is not None:
            self._blocks = self._threads.ahead(self._blocks)

    def columns(self, count: int) -> list[Array] | None:
        """The columns of the next rows, if one block has them all, as arrays; else None."""
        block = self._current()
        if block.columns is None or block.rows - self._within < count:
            return None
        found = [column[self._within : self._within + count] for column in block.columns]
        self._go_on(count)
        return found

    def fill(self, out: Array) -> None:
        """Write the next rows to `out`."""
        filled = 0
        while filled < len(out):
            block = self._current()
            taken = min(block.rows - self._within, len(out) - filled)
            block.copy(out[filled : filled + taken], self._within)
            filled += taken
            self._go_on(taken)

    def _current(self) -> Block:
        """The block that has the next row."""
        if self._block is None:
            self._block, self._within = self._following(), 0
        return self._block

    def _go_on(self, count: int) -> None:
        """Pass by rows of the current block."""
        self._next += count
        self._within += count
        if self._block is not None and self._within == self._block.rows:
            self._block = None
        if self._next == self._rows.shape[0]:
            if self._block is not None or any(block.rows for block in self._blocks):
                raise ValueError(f"{self._expected()}, got more")
            self.close()

    def _following(self) -> Block:
        for block in self._blocks:
            if block.rows:
                return block
        raise ValueError(f"{self._expected()}, got {self._next}: a function must return a new iterator each time")

    def _expected(self) -> str:
        return f"X must have {self._rows.shape[0]} rows whenever it is read, as the first time"


class _Kept:
    """A temporary file that holds the features of all rows, row by row.

    The file has no name, so that it goes away with the process, however the process ends.
    """

    def __init__(self, folder: Any, rows: Rows) -> None:
        import shutil
        import tempfile

        if not isinstance(folder, (str, os.PathLike)):
            raise TypeError(f"cache must be the path of a folder, got {kind(folder)}")
        if not os.path.isdir(folder):
            raise ValueError(f"cache must be a folder that exists, got {os.fspath(folder)!r}")
        m, n = rows.shape
        self._item, self._columns = rows.dtype.itemsize, n
        self._bytes = m * n * self._item
        free = shutil.disk_usage(folder).free
        if free < self._bytes:
            raise ValueError(
                f"cache must be a folder on a disk with room for the rows, {self._bytes / 1e9:.3g} GB, got "
                f"{os.fspath(folder)!r} with {free / 1e9:.3g} GB"
            )
        self._file: Any = tempfile.TemporaryFile(dir=os.fspath(folder), prefix="gradstep-", buffering=0)  # noqa: SIM115
        self.has_all = False

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def write(self, first: int, numbers: Array) -> None:
        """Keep the numbers of the rows from `first` on."""
        self._at(first)
        go_through(numbers, self._file.write)
        self.has_all = self._file.tell() == self._bytes

    def read(self, first: int, numbers: Array) -> None:
        """Read the numbers of the rows from `first` on."""
        self._at(first)
        go_through(numbers, self._file.readinto)

    def _at(self, first: int) -> None:
        self._file.seek(first * self._columns * self._item)


def go_through(numbers: Array, move: Callable[[memoryview], int | None]) -> None:
    """Read or write all bytes of an array in C order. Each call of `move` moves as many bytes as it can."""
    rest = numbers.reshape(-1).view(np.uint8).data
    while rest:
        moved = move(rest)
        if not moved:
            raise OSError(f"a file ended {len(rest)} bytes early")
        rest = rest[moved:]
