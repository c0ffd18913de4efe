"""Marks pixels so that a clip can be recognised later; knows nothing of the gateway.

The nouns, each in its own module so that importing one stays light:

- `watermark.payload.Payload`: the 64-bit clip id a mark carries.
- `watermark.keys.WatermarkKey`: the secret without which a mark is neither read nor made.
- `watermark.watermarker.Watermarker`: the seam, one class per marking algorithm.
- `watermark.spread.SpreadWatermarker`: our own blind video watermark.
- `watermark.learned`: a learned one from a pinned local file, in its place.
- `watermark.registry.Registry`: the ids a database holds, to compare a weak mark with.
- `watermark.fingerprint`: finds a clip again by what it shows, when its marks are gone.
- `watermark.reading.Reading`: what was read and how sure that is.

`docs/watermark.md` describes the layout, the algorithm, the measurements and the limits.
"""
