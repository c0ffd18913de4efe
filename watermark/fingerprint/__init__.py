"""Finds a released clip again from a damaged copy whose marks are gone.

The nouns, each in its own module:

- `watermark.fingerprint.record.Fingerprint`: the compact record of one clip, and its bytes.
- `watermark.fingerprint.maker`: makes the record of a clip, and the `Query` of a copy.
- `watermark.fingerprint.index.FingerprintIndex`: the seam of a searchable collection.
- `watermark.fingerprint.inverted.InvertedIndex`: the one to use, up to millions of clips.
- `watermark.fingerprint.exhaustive.ExhaustiveIndex`: the slow and exact reference.

`docs/fingerprint.md` says what is promised, what was measured and where it fails.
"""
