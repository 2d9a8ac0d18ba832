"""Synthetic tasks: what a mechanism can do at all, on sequences of any length whose answers can be checked.

recall, set_hash, odd, fuzzy_regex, listops     one file a task: its generator, and an `answer` that reads the ids alone
batches.py                                      rows of a task as a model reads them
training.py                                     a small model trained on a task, and how many of its answers are exact
"""

from collections.abc import Mapping
from types import MappingProxyType

from model.config.checks import nearest
from model.tasks.base import LONGEST, Task
from model.tasks.listops import LISTOPS
from model.tasks.odd import ODD
from model.tasks.recall import RECALL
from model.tasks.regex import FUZZY_REGEX
from model.tasks.sets import SET_HASH

TASKS: Mapping[str, Task] = MappingProxyType(
    {"recall": RECALL, "set_hash": SET_HASH, "odd": ODD, "fuzzy_regex": FUZZY_REGEX, "listops": LISTOPS}
)
"""All tasks by name."""


def task_of(name: str, *lengths: int) -> Task:
    """The task of a name, for sequences of these lengths. Errors: ValueError for a name or a length that is none."""
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}; {nearest(name, TASKS)}")
    task = TASKS[name]
    for length in lengths:
        if not task.shortest <= length <= LONGEST:
            raise ValueError(f"sequences of {name} have {task.shortest} to {LONGEST:,} pieces, not {length:,}")
    return task
