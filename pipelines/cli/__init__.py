"""The command line, typer only: `app` has `main`, the others its commands; each imports what it needs when it runs."""
