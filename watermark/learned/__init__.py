"""Watermarks that a neural network was trained to write and read, from a file of weights.

- `watermark.learned.weights.PinnedWeights`: the operator's file, pinned by its SHA-256.
- `watermark.learned.model.LearnedModel`: the calls of VideoSeal's TorchScript files.
- `watermark.learned.layout.Layout`: a payload as the bits of such a model, under a key.
- `watermark.learned.gather.Votes`: what a model said of a clip, second by second.
- `watermark.learned.watermarker.LearnedWatermarker`: the seam `Watermarker` on top.
"""
