"""A large parser trained on a GPU from a treebank and raw text, whose trees the small shipped parser learns from.

Three stages, each leaving files that the next one reads and a later call goes on from:

    prepare   treebank and raw text to arrays of pieces and classes (CPU, spaCy's words)
    train     masked language model, fine-tuning on the treebank, annotation of the raw words (GPU; torch alone)
    write     the annotated words as CoNLL-U, which `pipeline.fit.gold` reads (CPU)
"""
