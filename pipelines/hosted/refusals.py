"""What a server's refusal means: come again, ask for less, or ask no more."""

from __future__ import annotations

import re

from pipelines.hosted.connection import Answer
from pipelines.hosted.endpoint import Endpoint

# A moment later the same request may well be answered. 424 is TEI's word for a backend that failed.
PASSING = (408, 424, 425, 429)
# What a server does not do it will not do later.
NEVER = (501, 505)
# No other request would be answered either; the second kind may also be one text that a firewall dislikes.
HOPELESS = (401, 402, 407)
AT_FIRST = (403, 404, 405)
# By what a 400 or 422 says it is about the size of the request, which smaller ones may not have.
ABOUT_SIZE = re.compile(
    r"tokens\b|length|\blong|large|too many|exceed|limit|maximum|\bmax_|at most|\bsize|batch", re.IGNORECASE
)


def passes(status: int) -> bool:
    """Whether the same request is to be sent again."""
    return status in PASSING or (status >= 500 and status not in NEVER)


def is_about_size(answer: Answer) -> bool:
    return answer.status == 413 or (answer.status in (400, 422) and bool(ABOUT_SIZE.search(answer.says())))


def ends_all(answer: Answer, *, answered_before: bool) -> bool:
    """Whether no other request would be answered either."""
    if answer.status in HOPELESS:
        return True
    return not answered_before and (answer.status in AT_FIRST or answer.is_redirect)


def refusal(endpoint: Endpoint, answer: Answer) -> str:
    """In one line; where the path may be wrong, with the usual one."""
    usual = ""
    if answer.status in (404, 405) and not endpoint.url.endswith(endpoint.shape.path):
        usual = f" (the usual path is {endpoint.shape.path})"
    return f"{endpoint.host} answers {answer.status}: {answer.says()}{usual}"
