"""What replicas tell of their engines."""

from __future__ import annotations

from serve_app.replica.facts import notes_of


def test_a_note_of_several_replicas_is_told_once_and_none_of_those_that_have_none() -> None:
    facts = [{"note": "slower", "ended_s": None}, {"ended_s": None}, {"note": "slower"}, {"note": "another"}]
    assert notes_of(facts) == ["another", "slower"]
