"""Reading ahead: order, bounded memory, and no thread that is left behind. Events, no clocks."""

import threading

import pytest

from gradcam_eval.data.streaming import AHEAD, read_ahead

WAIT = 30  # seconds after which a test that hangs fails


def our_threads():
    return [t for t in threading.enumerate() if t.name.startswith("gradcam-eval-reader")]


@pytest.mark.parametrize("readers", [0, 1, 4])
def test_the_order_is_that_of_the_items(readers):
    assert list(read_ahead(lambda n: n * n, range(50), readers)) == [n * n for n in range(50)]
    assert list(read_ahead(abs, [], readers)) == []
    assert our_threads() == []


def test_a_slow_item_is_not_overtaken():
    later = threading.Event()

    def read(n):
        if n == 0:
            assert later.wait(WAIT)  # the first ends after the second has begun
        else:
            later.set()
        return n

    assert list(read_ahead(read, range(6), 2)) == list(range(6))


@pytest.mark.parametrize("readers", [1, 3])
def test_no_more_than_a_few_items_are_in_memory(readers):
    taken = []
    results = read_ahead(lambda n: n, (taken.append(n) or n for n in range(100)), readers)
    for n in range(20):
        assert next(results) == n
        assert len(taken) == n + AHEAD * readers
    results.close()
    assert our_threads() == []


def test_items_are_read_at_the_same_time():
    both = threading.Barrier(2, timeout=WAIT)  # broken unless two readers are inside at once
    assert len(list(read_ahead(lambda n: both.wait(), range(4), 2))) == 4


def test_one_reader_or_none_asks_for_one_item_at_a_time():
    read = []
    results = read_ahead(lambda n: read.append(n) or n, range(3), 0)
    assert read == []
    next(results)
    assert read == [0]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_the_consumer_raises_ends_the_threads(error):
    read = []

    def consume():
        for n in read_ahead(lambda n: read.append(n) or n, range(1000), 2):
            if n == 3:
                raise error

    with pytest.raises(error):
        consume()
    assert our_threads() == []
    assert len(read) <= 3 + 1 + 2 * AHEAD


def test_what_reading_raises_is_raised_at_its_turn():
    def read(n):
        if n == 2:
            raise KeyError(n)
        return n

    results = read_ahead(read, range(9), 4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError):
        next(results)
    assert our_threads() == []


def test_what_listing_raises_ends_the_threads():
    def items():
        yield from range(5)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(read_ahead(abs, items(), 2))
    assert our_threads() == []
