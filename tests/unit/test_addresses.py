"""Rates by address: spent and refilled, one network is one sender, memory is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.addresses import AddressRates
from gateway.errors import RateLimited


class Watch:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def rates(watch: Watch, *, most: int = 100) -> AddressRates:
    return AddressRates(per_minute=60, burst=3, clock=watch, most=most)


def test_a_burst_is_spent_and_comes_back_with_time(watch: Watch) -> None:
    door = rates(watch)
    for _ in range(3):
        door.take("203.0.113.5")
    with pytest.raises(RateLimited) as refused:
        door.take("203.0.113.5")
    assert refused.value.headers["retry-after"] == "1"
    door.take("203.0.113.6")
    watch.now += 1
    door.take("203.0.113.5")
    with pytest.raises(RateLimited):
        door.take("203.0.113.5")
    watch.now -= 1000  # a clock that goes back refills nothing
    with pytest.raises(RateLimited):
        door.take("203.0.113.5")


@pytest.mark.parametrize(
    "addresses",
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:0db8:0001:0002::3"),
        ("203.0.113.5", "::ffff:203.0.113.5", "203.0.113.5"),
        (None, "", "a name"),
    ],
)
def test_one_sender_by_another_address_is_the_same(
    watch: Watch, addresses: tuple[str | None, ...]
) -> None:
    door = rates(watch)
    for address in addresses:
        door.take(address)
    with pytest.raises(RateLimited):
        door.take(addresses[0])
    door.take("2001:db8:1:3::1")


@given(st.lists(st.ip_addresses().map(str), max_size=60))
def test_memory_is_bounded_whoever_asks(addresses: list[str]) -> None:
    door = rates(Watch(), most=5)
    for address in addresses:
        try:
            door.take(address)
        except RateLimited:
            continue
    assert len(door._buckets) <= 5
