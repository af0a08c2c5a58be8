import os

import pytest

from server import cpus

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("text", "expected"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", CORES)])
def test_the_quota_of_control_groups_2(tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert cpus.available(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("20000", 1), ("-1", CORES), ("6400000", CORES)])
def test_the_quota_of_control_groups_1(tmp_path, quota, expected):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpus.available(tmp_path) == expected


def test_without_control_groups_the_affinity_mask_counts(tmp_path):
    assert cpus.available(tmp_path) == CORES
