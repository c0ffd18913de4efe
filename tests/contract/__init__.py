"""Tests of kind: contract."""
