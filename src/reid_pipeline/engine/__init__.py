"""The training loop and what it needs: devices, precision, seeding, optimisers, extraction. Knows no method."""
