import os

import pytest

from harness.provenance import hardware


def test_memory_is_that_of_the_machine():
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert pages / 2**30 == pytest.approx(hardware()["memory_gib"], abs=1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be limited here")
def test_cores_are_those_this_process_may_use():
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    try:
        assert 1 == hardware()["cores"]
    finally:
        os.sched_setaffinity(0, all_of_them)
