"""Pages as people use them: a real server, worker and model, in a real browser."""
