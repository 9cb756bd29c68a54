"""What is shown of many stages where there isn't room for all of them."""

from collections.abc import Sequence

__all__ = ["around"]


def around(statuses: Sequence[str], most: int) -> tuple[int, int]:
    """From where to where so many of them are shown: the one at work in the middle, or else the last that began.

    Args:
        statuses: of the stages, in their order.
    """
    if len(statuses) <= most:
        return 0, len(statuses)
    begun = [at for at, status in enumerate(statuses) if status != "pending"]
    at = next((at for at in reversed(begun) if statuses[at] == "running"), begun[-1] if begun else 0)
    first = max(0, min(at - most // 2, len(statuses) - most))
    return first, first + most
