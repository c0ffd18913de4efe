"""Marks pixels so that a clip can be recognised later; knows nothing of the gateway."""
