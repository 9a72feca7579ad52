"""How fast, and faster: `bench` times our job and service beside the bare engine, `tune` searches settings."""
