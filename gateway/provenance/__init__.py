"""Content Credentials (C2PA): what a manifest states, who signs it, how it is read."""
