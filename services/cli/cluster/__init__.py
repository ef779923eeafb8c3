"""Training on a Kubernetes cluster: jobs and schedules made after the one that deploy/ puts there."""
