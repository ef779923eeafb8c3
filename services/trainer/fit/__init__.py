"""Training one model: cuts, batches, callbacks, checkpoint."""
