"""The pages: server-rendered, readable without scripts, under a strict content policy."""
