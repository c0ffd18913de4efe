"""Backups: an instance as a folder of files with their digests, and back again."""
