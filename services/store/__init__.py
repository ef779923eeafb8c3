"""Where versions and labels live: a folder or an S3 bucket, same layout, same guarantees."""
