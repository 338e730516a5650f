"""How a worker is told to end, with real signals."""

import os
import signal

import pytest

from fms.runtime.shutdown import Shutdown, Stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_wish_to_stop(number: signal.Signals) -> None:
    shutdown = Shutdown()
    with shutdown.listening():
        assert not shutdown.wanted
        os.kill(os.getpid(), number)
        assert shutdown.wanted


def test_a_second_signal_stops_at_once() -> None:
    shutdown = Shutdown()
    with shutdown.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_takes_longer_than_it_may_is_stopped() -> None:
    shutdown = Shutdown(seconds=1)
    with shutdown.listening():
        shutdown.ask()
        with pytest.raises(Stopped):
            signal.pause()


def test_what_ends_in_time_is_not_stopped_and_signals_mean_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]
    with Shutdown(seconds=1).listening():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.alarm(0) == 0
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)] == before


def test_no_handler_of_ordinary_errors_holds_up_the_end() -> None:
    assert not issubclass(Stopped, Exception)
