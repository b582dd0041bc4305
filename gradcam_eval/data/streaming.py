"""Read ahead of the consumer in threads: the same results in the same order, bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2  # items in work or waiting for each reader


def read_ahead(
    read: Callable[[Item], Result], items: Iterable[Item], readers: int
) -> Generator[Result, None, None]:
    """Yield `read(item)` of each item, in order, with up to `AHEAD · readers` of them in work.

    Parameters
    ----------
    read : called in the readers' threads; what it raises is raised here, at its item's turn
    items : taken one by one in the consumer's thread
    readers : threads, from 1 up; 0 reads in the consumer's thread, when an item is asked for

    Notes
    -----
    When the consumer stops (it closes or drops the iterator, raises, or is interrupted), what has
    not begun is cancelled and what has begun is waited for: no thread outlives the iterator.
    """
    if readers < 1:
        yield from map(read, items)
        return
    pool = ThreadPoolExecutor(readers, thread_name_prefix="gradcam-eval-reader")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) >= AHEAD * readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
