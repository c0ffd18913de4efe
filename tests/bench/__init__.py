"""Tests of kind: bench."""
