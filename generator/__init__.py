"""Makes clips from prompts; knows nothing of the gateway, of HTTP or of the database."""
