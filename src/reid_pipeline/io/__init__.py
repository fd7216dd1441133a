"""Kedro dataset classes of the project. Every save writes beside its target, then renames."""
