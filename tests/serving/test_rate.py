"""Token buckets: how many get through, when the next may, whom an address counts as."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discern.errors import ConfigError, RateLimitedError
from discern.serving.rate import SENDERS, RateLimiter, peer_address, sender

RATES = st.floats(0.01, 1000)
BURSTS = st.integers(1, 50)
PAUSES = st.lists(st.floats(0, 20), max_size=60)


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def admitted(limiter: RateLimiter, who: str = "a") -> bool:
    try:
        limiter.admit(who)
    except RateLimitedError:
        return False
    return True


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(2, 3, clock)
    assert [admitted(limiter) for _ in range(5)] == [True, True, True, False, False]
    with pytest.raises(RateLimitedError, match="2 a second") as told:
        limiter.admit("a")
    assert told.value.retry_after == pytest.approx(0.5)
    clock.now += 0.5
    assert [admitted(limiter) for _ in range(2)] == [True, False]
    clock.now += 60
    assert [admitted(limiter) for _ in range(4)] == [True, True, True, False]


@given(RATES, BURSTS, PAUSES)
def test_never_more_than_the_bucket_gives(rate: float, burst: int, pauses: list[float]) -> None:
    clock, times = Clock(), []
    limiter = RateLimiter(rate, burst, clock)
    for pause in pauses:
        clock.now += pause / rate / 4
        if admitted(limiter):
            times.append(clock.now)
    for i, first in enumerate(times):
        for j, last in enumerate(times[i:], 1):
            assert j <= burst + (last - first) * rate + 0.01


@given(RATES, BURSTS, PAUSES)
def test_retry_after_is_exact(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, burst, clock)
    for pause in pauses:
        clock.now += pause / rate / 8
        try:
            limiter.admit("a")
        except RateLimitedError as error:
            assert 0 < error.retry_after <= 1 / rate * 1.001
            clock.now += error.retry_after * 0.99 - 1e-5
            assert error.retry_after < 0.01 or not admitted(limiter)
            clock.now += error.retry_after * 0.01 + 1e-5
            assert admitted(limiter)


@given(RATES, BURSTS, st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=60))
def test_senders_do_not_feel_each_other(
    rate: float, burst: int, visits: list[tuple[str, float]]
) -> None:
    clock = Clock()
    together = RateLimiter(rate, burst, clock)
    alone = {who: RateLimiter(rate, burst, clock) for who in "abc"}
    for who, pause in visits:
        clock.now += pause / rate / 4
        assert admitted(together, who) == admitted(alone[who], who)


def test_memory_is_bounded_and_given_back() -> None:
    clock = Clock()
    limiter = RateLimiter(1, 2, clock)
    for i in range(2 * SENDERS):
        limiter.admit(str(i))
    assert len(limiter._full_at) == SENDERS
    assert [admitted(limiter, str(2 * SENDERS - 1)) for _ in range(2)] == [True, False]
    clock.now += 2
    limiter.admit("somebody")
    assert list(limiter._full_at) == ["somebody"]


def test_a_rate_finer_than_the_clock() -> None:
    limiter = RateLimiter(1e15, 1, Clock())
    assert all(admitted(limiter) for _ in range(5))


@pytest.mark.parametrize(
    ("rate", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0)]
)
def test_limits_that_let_nothing_through(rate: float, burst: int) -> None:
    with pytest.raises(ConfigError, match="give a rate above 0"):
        RateLimiter(rate, burst)


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:cb00:7109", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_whom_an_address_counts_as(address: str, who: str) -> None:
    assert sender(address) == who


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:203.0.113.9:4711", "203.0.113.9"),
        ("ipv6:[2001:db8::1]:4711", "2001:db8::1"),
        ("ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"),
        ("unix:/run/discern.sock", ""),
        ("unix:", ""),
    ],
)
def test_the_address_in_a_grpc_peer(peer: str, address: str) -> None:
    assert peer_address(peer) == address


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_a_whole_network_is_one_sender(address: IPv6Address, host: int) -> None:
    neighbour = IPv6Address(int(address) >> 64 << 64 | host)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        assert sender(str(address)) == sender(str(neighbour))
