"""Interlinear's server: translations and their attention over HTTP."""
