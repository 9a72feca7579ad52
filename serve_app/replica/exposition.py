"""Registries of several processes -> one Prometheus text, in which the label `replica` tells them apart.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format: all lines of a family form one group,
with its HELP and TYPE once and first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

# The media type of these texts. Prometheus 3 refuses an answer without one.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIXES = ("vllm:", "rerank_")
# Both escape newlines in what they quote, so a line that starts like this is never inside a help text or a label.
_FAMILY = re.compile(r"^# HELP (\S+) .*\n# TYPE .*\n", flags=re.MULTILINE)


class _Labelled:
    """A registry's families that are ours or the engine's, each sample with the label `replica`."""

    def __init__(self, registry: Collector, replica: str) -> None:
        self._registry, self._replica = registry, replica

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            if family.name.startswith(PREFIXES):
                yield self._labelled(family)

    def _labelled(self, family: Metric) -> Metric:
        labelled = Metric(family.name, family.documentation, family.type)
        labelled.samples = [
            sample._replace(labels={**sample.labels, "replica": self._replica})
            for sample in family.samples
            if sample.name != f"{family.name}_created"
        ]
        return labelled


def labelled_exposition(registry: CollectorRegistry, replica: str) -> str:
    """The registry's `vllm:` and `rerank_` families as Prometheus text, with `replica` on every sample.

    Times of creation are left out: they are no measurement, and each would be a further series.
    """
    return generate_latest(_Labelled(registry, replica)).decode()


def merge_expositions(texts: Iterable[str]) -> str:
    """Texts of different replicas as one: each family once, in order of first appearance, with everybody's samples.

    The first text's HELP and TYPE hold for all. It works on lines, not on parsed numbers: it runs where requests are
    answered, and is about a hundred times quicker.
    """
    families: dict[str, list[str]] = {}
    for text in texts:
        heads = list(_FAMILY.finditer(text))
        ends = [*(head.start() for head in heads[1:]), len(text)]
        for head, end in zip(heads, ends, strict=False):
            parts = families.setdefault(head[1], [head[0]])
            parts.append(text[head.end() : end])
    return "".join(part for parts in families.values() for part in parts)
