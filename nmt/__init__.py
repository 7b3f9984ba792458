"""Interlinear's library: an encoder-decoder with attention, from raw text to raw text."""

__version__ = "0.1.0"
