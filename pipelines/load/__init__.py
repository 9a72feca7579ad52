"""Load on a service: what is sent, how, for how long, and what came back."""
