"""Moderators made by others, behind the seam of safety.moderation; none is used by default."""
