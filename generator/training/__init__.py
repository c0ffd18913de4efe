"""Trains the embedded model: simulator, captions, codec, training and evaluation scripts."""
