"""Other people's systems, each in an environment of its own, timed by small programs that speak JSON lines."""
