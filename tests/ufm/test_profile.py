import threading
import time

from ufm.profile import Profile, phases


def test_an_inner_phase_is_not_counted_twice():
    profile = Profile()
    with profile.phase("outer"):
        time.sleep(0.02)
        with profile.phase("inner"):
            time.sleep(0.05)
    assert profile.seconds["inner"] >= 0.05
    assert 0.02 <= profile.seconds["outer"] < profile.seconds["inner"]


def test_threads_add_up():
    profile = Profile()

    def work():
        with profile.phase("work"):
            time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert profile.seconds["work"] >= 0.15


def test_without_a_profile_nothing_is_measured():
    with phases(None)("anything") as nothing:
        assert nothing in (None, "anything")
