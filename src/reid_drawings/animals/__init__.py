"""Drawn animals: coats and marks that differ from one to the next, seen from the left or the right."""
