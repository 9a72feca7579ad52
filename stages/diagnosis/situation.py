"""What step 1 asks of a machine and its traffic: who computes, on what, how much work there is, and what waits."""

from __future__ import annotations

from dataclasses import dataclass

from stages.diagnosis.resource_limits import ResourceLimits
from stages.telemetry.histogram import Histogram
from stages.telemetry.machine import GpuUse, Machine, ProcessUse, Role
from stages.telemetry.traffic import Traffic

# A GPU with less of its memory in use holds no model.
LEAST_GPU_MEMORY = 0.05
# Threads that take turns: one of them does most, and all of them together not noticeably more than a core.
MAIN_THREAD_CORES, ONE_CORE = 0.5, 1.15
SERVERS: tuple[Role, ...] = ("replica", "api")


@dataclass(frozen=True, slots=True)
class Situation:
    """One machine, what its service did meanwhile (None where that is not known), and the limits."""

    machine: Machine
    traffic: Traffic | None
    limits: ResourceLimits

    @property
    def gpus(self) -> list[GpuUse]:
        """Those that the service computes on; where the driver does not say, those that hold something."""
        mine = [one for one in self.machine.gpus if one.of_service]
        unsaid = [one for one in self.machine.gpus if one.of_service is None and one.memory_share >= LEAST_GPU_MEMORY]
        return mine or unsaid

    @property
    def gpu_share(self) -> float | None:
        """Mean use of the service's GPUs; None where it computes on the processor."""
        return sum(one.use_share for one in self.gpus) / len(self.gpus) if self.gpus else None

    @property
    def engine_cores(self) -> float:
        """Cores of the engines; of the server where it computes in its own process."""
        return self.machine.cores_of("engine") if self.machine.of("engine") else self.machine.cores_of(*SERVERS)

    @property
    def engine_share(self) -> float:
        """Of the usable cores."""
        return min(self.engine_cores / self.machine.cores, 1.0) if self.machine.cores > 0 else 0.0

    @property
    def engine_has_room(self) -> bool:
        """Whether what computes could do more: the GPU where there is one, else the engine's processes."""
        if self.gpu_share is not None:
            return self.gpu_share < self.limits.gpu_full_share
        return self.engine_share < self.limits.engine_full_share

    @property
    def taken_cores(self) -> float:
        """Cores that neither the service nor this command uses, seen or not."""
        return self.machine.cores_of("other") + self.machine.unseen_cores

    @property
    def processor_taken(self) -> bool:
        full = self.machine.busy_share >= self.limits.processor_full_share
        return full and self.taken_cores >= self.limits.taken_share * self.machine.machine_cores

    @property
    def full_threads(self) -> list[ProcessUse]:
        """The service's processes beside the engine that can do no more in one thread, the fullest first.

        A thread of an engine on a GPU is always busy: it asks the GPU again and again whether it is done.
        """
        beside = self.machine.of(*SERVERS, "proxy")
        full = [one for one in beside if self._thread_is_full(one)]
        return sorted(full, key=lambda one: -(one.busiest_thread_cores or 0.0))

    def _thread_is_full(self, process: ProcessUse) -> bool:
        """One thread at about a whole core, or several that share one: Python lets one run at a time."""
        busiest, limit = process.busiest_thread_cores or 0.0, self.limits.thread_full_cores
        return busiest >= limit or (busiest >= MAIN_THREAD_CORES and limit <= process.cores <= ONE_CORE)

    @property
    def at_once(self) -> float | None:
        """Mean number of requests in the house; None where it is not known, as where only prompts are counted."""
        if self.traffic is None or self.traffic.request_s is None or self.traffic.per_prompt:
            return None
        return self.traffic.per_s(self.traffic.request_s.sum)

    @property
    def has_work(self) -> bool | None:
        """Whether there is enough to do that an idle part means something; None where it is not known."""
        return None if self.at_once is None else self.at_once >= self.limits.at_once

    @property
    def queue_p95_s(self) -> float | None:
        return p95(self.traffic.queue_s) if self.traffic is not None else None

    @property
    def latency_p95_s(self) -> float | None:
        return p95(self.traffic.request_s) if self.traffic is not None else None

    @property
    def has_queue(self) -> bool:
        """Whether requests wait before the engine, as far as the service tells."""
        if (queued := self.queue_p95_s) is not None:
            return queued >= self.limits.queue_s
        return self.traffic is not None and bool(self.traffic.waiting)

    @property
    def tokenize_share(self) -> float | None:
        """Of a query's time."""
        shares = self.traffic.stage_shares if self.traffic is not None else None
        return shares["tokenize"] if shares else None


def p95(times: Histogram | None) -> float | None:
    """No more than is certain: within a wide first bucket interpolation tells of waiting that nobody did."""
    if times is None or (value := times.quantile(0.95)) is None:
        return None
    bracket = times.bracket(0.95)
    return min(value, bracket.high) if bracket is not None else value
