"""What runs around the nodes: checks before a run, locks, interruptions, and what a run says in the end."""
