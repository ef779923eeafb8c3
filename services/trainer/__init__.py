"""The loop that knows no plugin: data, baseline, fit, evaluate, gate, export, check, publish."""
