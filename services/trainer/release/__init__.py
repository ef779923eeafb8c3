"""From a trained model to a published version: gate, export, check, warm-up."""
