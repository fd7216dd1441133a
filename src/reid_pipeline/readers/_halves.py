"""MSMT17's names: its train and its test number their people separately, both from 0.

Train 0000 and test 0000 are two people, and 0 is neither a distractor here nor junk. So the half is part of
the identity ("test/0000"), and pids are 1 to 10000 in train, 10001 to 20000 in test.
"""

_NUMBERS = 10_000  # a number has four digits


def half_identity(subset: str, number: str) -> tuple[str, int]:
    """Return identity and pid of a person by subset and four-digit number."""
    if subset == "train":
        return f"train/{number}", int(number) + 1
    return f"test/{number}", int(number) + 1 + _NUMBERS
