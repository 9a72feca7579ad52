"""What the watch reads of a kernel, a disk and GPUs, from files and records like theirs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path

import pytest

from pipelines.service.diagnose.machine.connections import ConnectionWatch, connections_to
from pipelines.service.diagnose.machine.disk import DiskCounters, DiskWatch, block_kind, place_of
from pipelines.service.diagnose.machine.gpus import GpuWatch
from pipelines.service.diagnose.machine.kernel import KernelWatch
from pipelines.service.diagnose.machine.rate import Clock
from serve_app.replica.gpus import Gpu, GpuProcess, Gpus


def written(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def ticking(step_s: float) -> Clock:
    """A clock that goes on by one step each time it is asked."""
    times = count(step=step_s)
    return lambda: next(times)


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
PORT_8000 = "0100007F:1F40"


def table(*rows: tuple[str, str, str]) -> str:
    lines = (f"   {n}: {local} {remote} {state} 00000000:00000000\n" for n, (local, remote, state) in enumerate(rows))
    return HEAD + "".join(lines)


def test_a_connection_counts_once_by_the_servers_state_or_the_clients_where_the_server_has_none(tmp_path: Path) -> None:
    client, gone, other = "0100007F:A001", "0100007F:A002", "0100007F:1F41"
    tcp = table(
        ("00000000:1F40", "00000000:0000", "0A"),  # listens
        (PORT_8000, client, "01"),
        (client, PORT_8000, "01"),
        (gone, PORT_8000, "06"),
        (other, "0100007F:1F90", "01"),  # to another port
    )
    mapped = "0000000000000000FFFF0000"
    tcp6 = table((f"{mapped}{PORT_8000}", f"{mapped}0A00000A:A003", "08"))
    proc = written(tmp_path, {"net/tcp": tcp, "net/tcp6": tcp6})
    assert connections_to(8000, proc) == {client: "ESTABLISHED", gone: "TIME_WAIT", "0A00000A:A003": "CLOSE_WAIT"}


def test_connections_are_counted_from_look_to_look(tmp_path: Path) -> None:
    def seen(*clients: tuple[str, str], accepted: int) -> None:
        rows = table(*((PORT_8000, client, state) for client, state in clients))
        snmp = f"Tcp: RtoMin PassiveOpens\nTcp: 200 {accepted}\n"
        written(tmp_path, {"net/tcp": rows, "net/snmp": snmp})
        watch.look()

    watch = ConnectionWatch(8000, tmp_path, ticking(0.25))  # asked three times in each look
    seen(("0100007F:A001", "01"), ("0100007F:A002", "06"), accepted=100)
    seen(("0100007F:A001", "06"), ("0100007F:A003", "06"), accepted=104)
    seen(("0100007F:A003", "06"), ("0100007F:A004", "01"), accepted=110)
    result = watch.result()
    assert result is not None
    assert result.by_state == {"TIME_WAIT": 1, "ESTABLISHED": 1}
    assert (result.time_wait_per_s, result.opened_per_s, result.accepted_per_s) == pytest.approx((4 / 3, 4 / 3, 20 / 3))


def test_a_system_without_linuxs_files_tells_none(tmp_path: Path) -> None:
    kernel = KernelWatch(tmp_path)
    kernel.look()
    kernel.look()
    assert kernel.run_queue() is None
    assert kernel.pressure() is None
    assert ConnectionWatch(8000, tmp_path).result() is None


def test_pressure_is_the_share_of_the_time_in_which_some_task_waited(tmp_path: Path) -> None:
    def pressed(total_us: int) -> None:
        text = f"some avg10=1.20 avg60=0.85 avg300=2.33 total={total_us}\nfull avg10=0 avg60=0 avg300=0 total=9\n"
        written(tmp_path, {"pressure/io": text, "loadavg": "0.04 0.37 1.09 4/97 18539\n"})
        kernel.look()

    kernel = KernelWatch(tmp_path, ticking(1.0))  # io and swap are looked at once each: two seconds
    pressed(1_000_000)
    pressed(1_500_000)
    assert kernel.pressure() == {"io": 0.25}
    assert kernel.run_queue() == 3  # without the one that looks


@pytest.mark.parametrize(
    ("folder", "rotational", "model", "kind"),
    [
        ("nvme0n1", "0", "", "ssd"),
        ("sda", "1", "ST4000NM0035", "hdd"),
        ("vda", "1", "", "unknown"),
        ("sdb", "1", "Virtual Disk", "unknown"),
        ("rbd0", "0", "", "network"),
    ],
)
def test_the_kind_of_a_disk_is_the_kernels_word_but_for_virtual_ones(
    tmp_path: Path, folder: str, rotational: str, model: str, kind: str
) -> None:
    files = {f"{folder}/queue/rotational": f"{rotational}\n", f"{folder}/device/model": model, f"{folder}/p1/size": "9"}
    root = written(tmp_path, files)
    assert block_kind(root / folder) == kind
    assert block_kind(root / folder / "p1") == kind  # a part of it


def test_memory_is_told_by_its_mount_and_a_disk_without_counters_by_what_the_service_reads() -> None:
    shared = Path("/dev/shm")
    if not shared.exists():
        pytest.skip("no file system in memory here")
    assert place_of(shared).kind == "memory"
    watch = DiskWatch(shared)
    watch.look()
    disk = watch.result(3.0)
    assert (disk.read_mb_s, disk.busy_share, disk.service_read_mb_s) == (3.0, None, 3.0)


def test_a_disks_counters_are_rates_and_links_of_a_hubs_folder_are_followed(tmp_path: Path) -> None:
    blob = written(tmp_path, {"blobs/1": "x" * 2_000_000}) / "blobs" / "1"
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "model.safetensors").symlink_to(blob)
    counters = iter([DiskCounters(5_000_000, 1.0), DiskCounters(25_000_000, 2.5)])
    device = place_of(blob).device
    watch = DiskWatch(tmp_path / "snapshot", lambda: {device: next(counters)}, ticking(1.0))  # two counters
    watch.look()
    watch.look()
    disk = watch.result(read_by_service_mb_s=0.0)
    assert (disk.read_mb_s, disk.busy_share, disk.weights_mb, disk.service_read_mb_s) == (10.0, 0.75, 2.0, None)


class ToldGpus(Gpus):
    """Two GPUs that compute for process 11 and for 12. `uses` are both's in percent, by look."""

    def __init__(self, *uses: tuple[int | None, int | None]) -> None:
        self._uses = iter(uses)

    def look(self) -> list[Gpu]:
        return [Gpu(index, "NVIDIA H100", use, 60, 80) for index, use in enumerate(next(self._uses))]

    def processes(self) -> dict[int, tuple[GpuProcess, ...] | None]:
        return {index: (GpuProcess(11 + index, None),) for index in range(2)}


def test_gpus_are_averaged_and_told_apart_by_who_computes_on_them() -> None:
    watch = GpuWatch(ToldGpus((100, 0), (95, 10), (60, 20), (45, 10)))
    for _ in range(4):
        watch.look()
    mine, other = watch.result({11})
    assert (mine.name, mine.use_share, mine.steady_share, mine.memory_share) == ("NVIDIA H100", 0.75, 0.5, 0.75)
    assert (mine.of_service, other.of_service) == (True, False)
    assert other.use_share == pytest.approx(0.1)
    # A container numbers its processes itself: none is known, so nothing is said.
    assert [one.of_service for one in watch.result({4000})] == [None, None]


def test_a_gpu_that_tells_no_use_is_not_watched_and_hides_no_other() -> None:
    watch = GpuWatch(ToldGpus((None, 40)))
    watch.look()
    assert [(one.index, one.use_share) for one in watch.result({11})] == [(1, 0.4)]


def test_a_machine_without_gpus_has_none() -> None:
    watch = GpuWatch(Gpus())
    watch.look()
    assert watch.result({11}) == ()
