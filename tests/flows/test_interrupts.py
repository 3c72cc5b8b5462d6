"""Ctrl-C waits while it is held, and only then."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from jkoflow.flows.interrupts import Interrupts

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_it_comes_at_once_where_nothing_holds_it():
    after = []
    with pytest.raises(KeyboardInterrupt), Interrupts():
        press()
        after.append("reached")
    assert not after


def test_it_waits_for_the_end_of_the_block():
    done = []
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        with interrupts.held():
            press()
            done.append("block")
        done.append("after")
    assert done == ["block"]


def test_it_comes_once():
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.held():
            press()
            press()
        with interrupts.held():
            pass


def test_an_error_in_the_block_goes_first():
    with Interrupts() as interrupts, pytest.raises(LookupError), interrupts.held():
        press()
        raise LookupError


def test_the_handler_before_is_put_back_and_called():
    calls = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        mine = signal.getsignal(signal.SIGINT)
        with Interrupts():
            press()
        assert calls == [signal.SIGINT] and signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, previous)


def test_other_threads_are_left_alone():
    before, ran = signal.getsignal(signal.SIGINT), []

    def work():
        with Interrupts() as interrupts, interrupts.held():
            ran.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [before]
