"""Shuffled orders of the rows: they never change for a seed, and are those of the documented algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gradstep
from helpers.problems import blobs
from helpers.results import bits, parts

# The orders of ten rows in two epochs, by seed. They are written down: a seed means the same order in every version.
GOLDEN_ORDERS = {
    0: [[4, 9, 2, 5, 1, 7, 6, 0, 3, 8], [4, 1, 9, 2, 7, 0, 3, 6, 5, 8]],
    42: [[8, 3, 6, 5, 4, 0, 9, 2, 1, 7], [1, 6, 4, 8, 0, 7, 2, 5, 3, 9]],
}


def splitmix64(seed: int) -> Iterator[int]:
    """Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014; it starts at the seed."""
    mask, state = 2**64 - 1, seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        yield z ^ z >> 31


def below(random: Iterator[int], n: int) -> int:
    """Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019: unbiased, by rejection."""
    while True:
        product = next(random) * n
        low = product % 2**64
        if low >= n or low >= (2**64 - n) % n:
            return product >> 64


def shuffled(seed: int, m: int, epochs: int) -> list[list[int]]:
    """Fisher–Yates from the last place down; each epoch goes on from the order that the one before it left."""
    random, order, orders = splitmix64(seed), list(range(m)), []
    for _ in range(epochs):
        for i in range(m - 1, 0, -1):
            j = below(random, i + 1)
            order[i], order[j] = order[j], order[i]
        orders.append(order.copy())
    return orders


def orders_of(fit: Any, m: int) -> list[list[int]]:
    rows = np.asarray(fit.trace["row"]).ravel()
    return rows[rows >= 0].reshape(-1, m).tolist()  # type: ignore[no-any-return]


def test_splitmix64_is_the_published_one() -> None:
    random = splitmix64(1234567)
    assert [next(random) for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("seed", list(GOLDEN_ORDERS))
@pytest.mark.parametrize("batch_size", [1, 3, 9])
def test_frozen_shuffled_orders(seed: int, batch_size: int) -> None:
    fit = gradstep.Trainer(epochs=2, batch_size=batch_size, shuffle=True, seed=seed, trace=True).fit(*blobs(10, 2))
    assert orders_of(fit, 10) == GOLDEN_ORDERS[seed]
    assert shuffled(seed, 10, 2) == GOLDEN_ORDERS[seed]


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32, 2**63, 2**64 - 1])
@pytest.mark.parametrize("m", [1, 2, 3, 64, 1000])
def test_shuffled_orders_are_the_documented_algorithm(seed: int, m: int) -> None:
    fit = gradstep.Trainer(epochs=3, batch_size=1, shuffle=True, seed=seed, trace=True).fit(*blobs(m, 1))
    orders = orders_of(fit, m)
    assert orders == shuffled(seed, m, 3)
    for order in orders:
        assert sorted(order) == list(range(m))


@pytest.mark.parametrize("batch_size", [1, 7])
def test_seeds(batch_size: int) -> None:
    X, y = blobs(50, 2)

    def train(seed: int | None) -> Any:
        return gradstep.Trainer(epochs=2, batch_size=batch_size, shuffle=True, seed=seed, trace=True).fit(X, y)

    assert bits(parts(train(7))[:4]) == bits(parts(train(7))[:4])
    assert orders_of(train(7), 50) != orders_of(train(8), 50)
    first = orders_of(train(7), 50)
    assert first[0] != first[1] != list(range(50))
    trainer = gradstep.Trainer(epochs=2, batch_size=batch_size, shuffle=True, seed=7, trace=True)
    assert orders_of(trainer.fit(X, y), 50) == orders_of(trainer.fit(X, y), 50) == first  # each fit uses the seed anew
    assert orders_of(train(None), 50) != orders_of(train(None), 50)  # equal by chance once in 50! ≈ 3e64 runs
