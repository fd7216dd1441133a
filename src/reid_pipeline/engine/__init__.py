"""The training loop and what it needs: devices, precision, seeding, optimisers. Knows no method."""
