"""The page on which people judge: an empty form of one query and its documents, which asks its own server for them.

It needs nothing from elsewhere. Style and script are allowed by a nonce alone, and texts come as JSON and become text
nodes: whatever a document holds, nothing of it is markup.
"""

from __future__ import annotations

from pathlib import Path

TEMPLATE = "judging_page.html.j2"
MEANINGS = {
    1: ("not relevant", "relevant"),
    2: ("not relevant", "relevant in part", "relevant"),
    3: ("not relevant", "related, no answer", "answers in part", "answers fully"),
}
"""Highest grade -> what each grade means, from 0 on. Of a longer scale the numbers alone are known."""


def judging_page(nonce: str) -> str:
    """The page, the same for every plan."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    page: str = environment.get_template(TEMPLATE).render(nonce=nonce)
    return page


def policy(nonce: str) -> str:
    """The content security policy that the page is sent with."""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; "
        f"script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def meanings(highest: int) -> list[str]:
    """A word for each grade from 0 to `highest`; empty ones where nobody said what they mean."""
    return list(MEANINGS.get(highest, ("not relevant", *[""] * highest)))
