"""Numbers -> what people read: tables on the terminal at the end of a job, and documents in every form.

`document` is what a report says; `html`, `markdown`, `latex` and `terminal` show it; `figures` draws. `run` makes that
of a run, `comparison_report` that of a comparison, and so on.
"""
