"""`python -m pipelines COMMAND` is `rerank-eval COMMAND`, where the command itself is not on the path."""

from pipelines.cli.app import main

if __name__ == "__main__":
    main()
