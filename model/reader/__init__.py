"""Reading a cache to train: any number of pieces from disk, in an order that a seed decides, place by place.

mapped.py      the pieces layer as uncompressed Arrow, memory-mapped: any piece of any document in O(1)
documents.py   the documents of a split, and where each lies
lists.py       bonds of words to keys of pieces, as compressed sparse rows, and blocks of them
sequences.py   one sequence of N pieces with attributes and lists
loader.py      batches of them for rank r of w, by any number of worker processes; state_dict, load_state_dict
"""
