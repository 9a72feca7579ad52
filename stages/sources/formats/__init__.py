"""What other tools write, each read as its own tool reads it."""
