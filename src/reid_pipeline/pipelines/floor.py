"""What every method is compared with."""

FLOOR = "zero_shot"
"""The method that every report compares with; its metrics are measured in the same run."""
