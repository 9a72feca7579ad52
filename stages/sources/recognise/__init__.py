"""Which of the known layouts a file has, what it holds, and how the run config reads it. `recognise` is the way in."""

from __future__ import annotations

from stages.sources.recognise.counting import check, count
from stages.sources.recognise.files import recognise
from stages.sources.recognise.finding import Finding
from stages.sources.recognise.section import Section, section_of

__all__ = ["Finding", "Section", "check", "count", "recognise", "section_of"]
