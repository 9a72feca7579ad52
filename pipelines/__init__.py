"""Commands: each wires stages and serve_app into one job."""

import serve_app.engine.light_start  # noqa: F401  # the commands and Ray Data's workers import much too
