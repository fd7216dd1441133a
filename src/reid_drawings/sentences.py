"""English for lists of things."""

from __future__ import annotations

from collections.abc import Sequence


def with_article(words: str) -> str:
    """Put the indefinite article before words: `a` or, before a vowel, `an`."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def listed(words: Sequence[str]) -> str:
    """Join phrases, at least one, with commas and, before the last, `and`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
