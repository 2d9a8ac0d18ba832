"""What the checks of settings have in common."""

from difflib import get_close_matches


def nearest(said: str, known: object) -> str:
    names = list(known)  # type: ignore[call-overload]
    near = get_close_matches(said, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; give at least 1")
