"""Acceptance, small: failing requests, cut bodies and three kills leave the same bytes. bench/plates.py faults is full size."""

from __future__ import annotations

import pytest

import disturbed
from faulty_s3 import Proxy, serve_bucket

pytestmark = pytest.mark.slow


@pytest.mark.exhaustive
def test_a_disturbed_plate_ends_byte_for_byte_as_an_undisturbed_one(tmp_path):
    disturbed.write_mirror(tmp_path / "mirror", rows=4, columns=6, sites=1)
    with serve_bucket(tmp_path / "mirror") as url, Proxy(url) as proxy:
        found = disturbed.compare(tmp_path, url, proxy, files=24 * 8, seed=5)
    assert found["identical"] and found["kills"] == 3, found
    assert found["injected"]["503"] and found["injected"]["cut"], found
    faults = sum(found["injected"].values())
    assert found["asked_again"] <= faults + 2 * 16, found  # no more than was under way at a kill
