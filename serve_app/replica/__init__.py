"""The Serve application around an engine: `app` starts it, `deployment` is the actor, `client` calls it."""
