"""`python -m pipelines.run --config F` is `rerank-eval run --config F`, for `ray job submit`. The job is in `job`."""

import sys

if __name__ == "pipelines.run":
    # As a module it would take the place of the function `run` in this package.
    raise ImportError("pipelines.run is a command: python -m pipelines.run. In Python: from pipelines import run")

if __name__ == "__main__":
    from pipelines.cli.app import main

    main(["run", *sys.argv[1:]])
