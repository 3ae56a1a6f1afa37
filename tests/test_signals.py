import signal

import pytest

from memlaw.signals import SIGNALS, Signals


@pytest.fixture
def ignored():
    """Every signal is ignored, so that a test that delivers one too many does not end the tests."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_held_signal_is_noted_and_its_handler_stands_again_afterwards(ignored):
    called = []
    signal.signal(signal.SIGUSR2, lambda *_: called.append("handler"))
    handler = signal.getsignal(signal.SIGUSR2)
    signals = Signals()
    with signals.held():
        assert not signals
        signal.raise_signal(signal.SIGUSR2)
        assert signals
        assert not called
    assert signal.getsignal(signal.SIGUSR2) is handler


def test_ignored_signals_stay_ignored(ignored):
    signals = Signals()
    with signals.held():
        signal.raise_signal(signal.SIGHUP)
    assert not signals


def test_a_handler_of_another_library_is_called_and_training_goes_on(ignored):
    called = []
    signal.signal(signal.SIGUSR2, lambda *_: called.append("requeued"))
    signals = Signals()
    with signals.held():
        signal.raise_signal(signal.SIGUSR2)
        assert not signals.pass_on()
        assert called == ["requeued"]
        assert not signals


def test_ctrl_c_waits_until_it_is_delivered(ignored):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signals = Signals()
    with signals.held():
        signal.raise_signal(signal.SIGINT)
        assert signals.pass_on()
    with pytest.raises(KeyboardInterrupt):
        signals.deliver()
    assert not signals


def test_a_handler_that_another_library_installs_meanwhile_is_replaced(ignored):
    called = []
    signal.signal(signal.SIGTERM, lambda *_: called.append("before"))
    signals = Signals()
    with signals.held():
        signal.signal(signal.SIGTERM, lambda *_: called.append("claimed"))
        signals.install()
        signal.raise_signal(signal.SIGTERM)
        assert signals
        assert not called
