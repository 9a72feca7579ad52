"""The job on a cluster and at night: `submit` sends it, `schedule` repeats it and catches up on what was missed."""
