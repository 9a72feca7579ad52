"""Numbers -> what people read: tables on the terminal while a job runs, and documents in every form.

`document` is what a report says; `html`, `markdown`, `latex` and `terminal` show it; `figures` draws. `run_report`
makes that of a run, `comparison_report` that of a comparison.
"""

from stages.report.tables import cost_table, quality_table
from stages.report.wording import written_name

__all__ = ["cost_table", "quality_table", "written_name"]
