"""Scores kept between runs: `store` is the way in, `scorer` asks it before the engine, `file` is SQLite alone."""
