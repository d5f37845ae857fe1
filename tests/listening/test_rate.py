"""Newcomers: a classroom behind one address comes in at once, and whoever asks again and again waits."""

from audiometamer.listening.rate import RateLimit


def test_a_classroom_comes_in_within_a_minute_and_a_flood_does_not():
    now = [0.0]
    rate = RateLimit(clock=lambda: now[0])
    assert [rate.wait("192.0.2.1") for _ in range(40)] == [0] * 40
    assert rate.wait("192.0.2.1") == 60
    now[0] = 30.5
    assert rate.wait("192.0.2.1") == 30
    assert [rate.wait(f"192.0.2.{k}") for k in range(2, 82)] == [0] * 80
    assert rate.wait("192.0.2.99") == 30
    now[0] = 60
    assert [rate.wait("192.0.2.1") for _ in range(40)] == [0] * 40
    assert rate.wait("192.0.2.99") == 31


def test_who_waits_does_not_wait_for_longer_the_more_they_ask():
    now = [0.0]
    rate = RateLimit(1, 1, clock=lambda: now[0])
    assert rate.wait("x") == 0
    for second in range(1, 60):
        now[0] = second
        assert rate.wait("x") == 60 - second
    now[0] = 60
    assert rate.wait("x") == 0


def test_addresses_of_one_network_of_ipv6_are_one():
    rate = RateLimit(100, 2, clock=lambda: 0)
    asked = ["2001:db8::1", "2001:db8::ffff", "2001:db8::2%eth0", "2001:db8:0:1::1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"]
    assert [rate.wait(address) > 0 for address in asked] == [False, False, True, False, False, False, True]
