"""Shared vocabulary: errors, refs, card, manifest, tensors, telemetry. Imports nothing of ours and no TensorFlow."""
