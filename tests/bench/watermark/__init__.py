"""The watermark's benchmark: clips, attacks, looks, peers and nulls."""
