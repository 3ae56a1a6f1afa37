import threading
import time

from memlaw.tracking.worker import Worker


def test_calls_run_in_order_and_draining_waits_for_them():
    worker, calls = Worker(), []
    for number in range(5):
        worker.submit(lambda number=number: (time.sleep(0.01), calls.append(number)))
    assert worker.drain(30)
    assert calls == [0, 1, 2, 3, 4]


def test_a_call_that_hangs_ends_the_wait_and_a_retired_worker_runs_no_other():
    worker, go_on, calls = Worker(), threading.Event(), []
    worker.submit(go_on.wait)
    worker.submit(lambda: calls.append("later"))
    assert not worker.drain(0.05)
    worker.retire()
    go_on.set()
    assert not worker.drain(0.2)
    assert calls == []
