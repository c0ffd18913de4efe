"""Judges prompts and frames; knows nothing of the gateway, of HTTP or of the database."""
