"""The shapes of the rerank APIs that clients speak: `table` holds them as data, the other modules read it."""
