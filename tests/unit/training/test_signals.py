"""Signals that end training: held while a step runs, then passed on or delivered. They are raised in this process."""

import signal
import threading
from collections.abc import Iterator

import pytest

from memlaw.training.signals import SIGNALS, Signals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give signals their default handlers, also where tests run under `nohup`, and restore this process's after."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in set(SIGNALS) - {signal.SIGINT}:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_until_it_is_asked_for(number: signal.Signals):
    came = Signals()
    with came.deferred():
        assert not came
        signal.raise_signal(number)
        assert came


def test_the_handler_of_another_library_is_called_once_and_training_goes_on():
    requeued: list[int] = []
    signal.signal(signal.SIGUSR2, lambda number, frame: requeued.append(number))
    came = Signals()
    with came.deferred():
        signal.raise_signal(signal.SIGUSR2)
        assert requeued == []
        assert not came.pass_on()
        assert not came.pass_on()
    assert requeued == [signal.SIGUSR2]


def test_ctrl_c_ends_training_and_is_delivered_as_itself():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    came = Signals()
    with came.deferred():
        signal.raise_signal(signal.SIGINT)
        assert came.pass_on()
    with pytest.raises(KeyboardInterrupt):
        came.deliver()
    came.deliver()  # nothing is left of it


def test_a_held_signal_is_delivered_to_whoever_handled_it_before():
    received: list[int] = []
    came = Signals()
    with came.deferred():
        signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    came.deliver()
    assert received == [signal.SIGTERM]


def test_a_signal_that_the_process_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    came = Signals()
    with came.deferred():
        signal.raise_signal(signal.SIGHUP)
        assert not came
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_signals_are_taken_back_from_whoever_claimed_them_meanwhile():
    claimed: list[int] = []
    came = Signals()
    with came.deferred():
        signal.signal(signal.SIGTERM, lambda number, frame: claimed.append(number))
        came.install()
        signal.raise_signal(signal.SIGTERM)
        assert came
    assert claimed == []


def test_the_handlers_from_before_are_back_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with Signals().deferred():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_nothing_is_held():
    seen: list[object] = []

    def hold() -> None:
        with Signals().deferred():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert seen == [before]
