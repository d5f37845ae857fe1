"""Times as people write them."""

import re


def parse_seconds(text: str) -> float:
    """A time as people write it, in seconds: ``65.5``, ``1:05.5`` or ``0:01:05.5``.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):(?=\d\d?(?:\.|$)))?(\d+\.?\d*|\.\d+)", text.strip())
    if found is None or (":" in text and float(found[3]) >= 60) or (found[1] and int(found[2]) >= 60):
        raise ValueError(f"{text!r} is no time; write seconds (65.5), minutes (1:05.5) or hours (0:01:05.5)")
    return 3600 * int(found[1] or 0) + 60 * int(found[2] or 0) + float(found[3])
