"""Relevance judged where there are no qrels: `plan` draws what people judge, `campaign` goes on to the verdict,
`server` is the page.
"""
