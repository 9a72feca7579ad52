"""From stored scores alone: what every depth, cascade and cut would have given and cost. Open `points` first."""
