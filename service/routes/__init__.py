"""Thin handlers: read the request, ask the engine, shape the answer."""
