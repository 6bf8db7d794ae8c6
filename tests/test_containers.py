"""Limits of control groups, as files of either version tell them."""

import pytest

from regard import containers, machine

GIB = 2**30


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Writes files below the root of the groups, and which group is this process's."""
    monkeypatch.setattr(containers, "ROOT", tmp_path / "groups")
    monkeypatch.setattr(containers, "_OWN", tmp_path / "own")

    def write(own, **files):
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "groups" / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))

    return write


def test_version_2_counts_the_narrowest_limit_above(told):
    told(
        "0::/pod/job\n",
        pod__memory_dot_max=3 * GIB, pod__memory_dot_current=GIB,
        pod__memory_dot_stat=f"anon 5\ninactive_file {GIB // 2}\n",
        pod__job__memory_dot_max="max", pod__job__memory_dot_current=GIB,
        pod__cpu_dot_max="150000 100000", pod__job__cpu_dot_max="max 100000",
    )  # fmt: skip
    assert containers.memory_left() == 2 * GIB + GIB // 2
    assert containers.processors() == 1.5


def test_version_1_and_a_container_whose_group_is_named_as_the_host_names_it(told):
    told(
        "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n",
        memory__memory_dot_limit_in_bytes=2 * GIB, memory__memory_dot_usage_in_bytes=GIB,
        memory__memory_dot_stat=f"inactive_file 1\ntotal_inactive_file {GIB // 4}\n",
        cpu__cpu_dot_cfs_quota_us=300000, cpu__cpu_dot_cfs_period_us=100000,
    )  # fmt: skip
    assert containers.memory_left() == GIB + GIB // 4
    assert containers.processors() == 3


def test_without_limits_the_machine_is_what_there_is(told):
    told(
        "4:cpu:/\n0::/\n", memory_dot_max="max", memory_dot_current=5,
        cpu__cpu_dot_cfs_quota_us=-1, cpu__cpu_dot_cfs_period_us=100000,
    )  # fmt: skip
    assert (containers.memory_left(), containers.processors()) == (None, None)


def test_where_there_are_no_groups_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "_OWN", tmp_path / "nowhere")
    assert (containers.memory_left(), containers.processors()) == (None, None)


def test_the_machine_has_no_more_than_its_container(told, monkeypatch):
    own, free = machine.cores(), machine.free_mb()
    monkeypatch.setattr(machine, "processors", lambda: 0.5)
    monkeypatch.setattr(machine, "memory_left", lambda: 300 * 2**20)
    assert machine.cores() == 1 <= own
    assert machine.free_mb() == (None if free is None else 300)
