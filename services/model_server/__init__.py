"""The embedded model server: TensorFlow Serving's API over the same graph Session path."""
