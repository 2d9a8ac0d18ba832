"""Heads from arcs, left to right: what closes later never takes a head away.

On closing word i, it hangs on the likeliest earlier word that is proposed as its head; and of the earlier words of
which it is proposed as the head, those hang on it that have none yet. A word whose head never came has none.
"""

import numpy as np

from pipeline.prefix.arcs import Said
from pipeline.prefix.network import Places


def heads_of(said: Said, least: int = 0) -> Places:
    """int64 [N]: row of each word's head, -1 for none. least: score from which an arc is taken for one.

    The heads among the first n words are a function of these words; there are no circles.
    """
    head = [-1] * len(said.tag)
    likely = np.flatnonzero(said.arcs.score >= least)
    # of each word, its own head first, the likeliest of several; then the others from left to right
    later, earlier, is_head = said.arcs.later[likely], said.arcs.earlier[likely], said.later_is_head[likely]
    order = np.lexsort((np.where(is_head, earlier, -said.arcs.score[likely]), is_head, later))
    for i, j, i_is_head in zip(later[order].tolist(), earlier[order].tolist(), is_head[order].tolist(), strict=True):
        if not i_is_head:
            if head[i] < 0:
                head[i] = j
        elif head[j] < 0:
            above = i  # a word that i hangs on, however far up, cannot hang on i
            while head[above] >= 0:
                above = head[above]
            if above != j:
                head[j] = i
    return np.array(head, dtype=np.int64)
