"""Measurements; each writes its result with machine, versions and command."""
