"""The append-only log: every decision, in a tree that shows any later change."""
