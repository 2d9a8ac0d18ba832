"""The named queries of `valency stats`: plain SQL over the views of pipeline.stats, one table to read them all."""

from pipeline.records import KINDS

QUERIES: dict[str, str] = {
    "documents": """
        SELECT coalesce(split, 'all') AS split, count(*) AS documents, sum(sentences) AS sentences, sum(words) AS words,
               sum(characters) AS characters, round(sum(words) / greatest(sum(sentences), 1), 1) AS words_per_sentence
        FROM document_stats WHERE status = 'ok'
        GROUP BY ROLLUP (document_stats.split) ORDER BY document_stats.split NULLS LAST
    """,
    "kinds": """
        SELECT kind, sum(count) AS bonds, round(sum(count) / any_value(total.words), 3) AS bonds_per_word
        FROM counts, (SELECT sum(words) AS words FROM document_stats) AS total
        WHERE measure = 'span' GROUP BY kind ORDER BY bonds DESC
    """,
    # Of all ordered pairs of two words of one sentence, how many are bonded.
    "density": """
        SELECT kind, sum(count) AS bonds_within_sentences,
               sum(count) / any_value(total.pairs) AS density
        FROM counts, (SELECT sum(words::BIGINT * (words - 1)) AS pairs FROM sentences) AS total
        WHERE measure = 'reach' AND value = 0 GROUP BY kind ORDER BY density DESC
    """,
    # The genre of a document is the folder that its file lies in; files that lie in none are a genre of their own.
    # density: bonds, those to earlier sentences too, by ordered pairs of two words of one sentence.
    "genres": """
        WITH genre AS (
            SELECT coalesce(nullif(regexp_extract(source, '([^/]+)/[^/]*$', 1), ''), source) AS genre, *
            FROM document_stats WHERE status = 'ok'
        ),
        pairs AS (
            SELECT genre.genre, sum(s.words::BIGINT * (s.words - 1)) AS pairs
            FROM sentences AS s JOIN genre USING (document) GROUP BY genre.genre
        ),
        bonds AS (
            UNPIVOT (SELECT genre, count(*) AS documents, sum(words) AS words, {sums} FROM genre GROUP BY genre)
            ON {columns} INTO NAME kind VALUE bonds
        )
        SELECT genre, kind, documents, words, bonds, round(bonds / greatest(words, 1), 3) AS bonds_per_word,
               bonds / nullif(pairs, 0) AS density
        FROM bonds LEFT JOIN pairs USING (genre) WHERE bonds > 0 ORDER BY genre, bonds DESC, kind
    """.format(sums=", ".join(f"sum({kind}) AS {kind}" for kind in KINDS), columns=", ".join(KINDS)),  # noqa: S608, our own names
    "reach": """
        SELECT kind, value AS sentences_back, sum(count) AS bonds
        FROM counts WHERE measure = 'reach' GROUP BY kind, value ORDER BY kind, value
    """,
    "spans": """
        WITH bins AS (
            SELECT kind, abs(value) AS span, count FROM counts WHERE measure = 'span'
        )
        SELECT kind, sum(count) FILTER (span <= 1) AS "1", sum(count) FILTER (span = 2) AS "2",
               sum(count) FILTER (span BETWEEN 3 AND 4) AS "3-4", sum(count) FILTER (span BETWEEN 5 AND 8) AS "5-8",
               sum(count) FILTER (span BETWEEN 9 AND 16) AS "9-16",
               sum(count) FILTER (span BETWEEN 17 AND 64) AS "17-64",
               sum(count) FILTER (span > 64) AS "65+"
        FROM bins GROUP BY kind ORDER BY kind
    """,
    "degrees": """
        SELECT value AS bonds_at_a_word, sum(count) AS words,
               round(100 * sum(count) / sum(sum(count)) OVER (), 2) AS percent
        FROM counts WHERE measure = 'degree' AND kind = 'any' GROUP BY value ORDER BY value
    """,
    "rules": """
        SELECT kind, rule, sum(count) AS bonds
        FROM counts WHERE measure = 'rule' GROUP BY kind, rule
        QUALIFY row_number() OVER (PARTITION BY kind ORDER BY bonds DESC, rule) <= 10
        ORDER BY kind, bonds DESC, rule
    """,
    "tags": """
        SELECT kind, query, key, sum(count) AS bonds
        FROM counts WHERE measure = 'tags' GROUP BY kind, query, key
        QUALIFY row_number() OVER (PARTITION BY kind ORDER BY bonds DESC, query, key) <= 10
        ORDER BY kind, bonds DESC, query, key
    """,
    # Of the verbs that VerbNet knows: those that no argument was ever bonded to.
    "unfilled": """
        WITH filled AS (
            SELECT rule, sum(count) AS bonds, string_agg(DISTINCT key, ', ' ORDER BY key) AS roles
            FROM counts WHERE measure = 'filled' GROUP BY rule
        ),
        verbs AS (
            SELECT rule, sum(count) AS occurrences FROM counts WHERE measure = 'verb' GROUP BY rule
        )
        SELECT rule AS verb, occurrences, roles
        FROM verbs LEFT JOIN filled USING (rule) WHERE coalesce(bonds, 0) = 0
        ORDER BY occurrences DESC, verb LIMIT 50
    """,
    # How often each role is filled where a verb's classes grant it.
    "roles": """
        WITH filled AS (
            SELECT rule, key AS role, sum(count) AS bonds FROM counts WHERE measure = 'filled' GROUP BY rule, key
        ),
        verbs AS (
            SELECT rule, sum(count) AS occurrences FROM counts WHERE measure = 'verb' GROUP BY rule
        )
        SELECT role, count(*) AS verbs, count(*) FILTER (bonds = 0) AS verbs_that_never_fill_it,
               sum(occurrences) AS granted, sum(bonds) AS bonds,
               round(sum(bonds) / greatest(sum(occurrences), 1), 3) AS bonds_per_grant
        FROM filled JOIN verbs USING (rule) GROUP BY role ORDER BY granted DESC, role
    """,
    "quarantine": """
        SELECT reason, count(*) AS documents, min(document) AS example
        FROM document_stats WHERE status = 'quarantined' GROUP BY reason ORDER BY documents DESC, reason
    """,
    "bytes": """
        SELECT layer, count(*) AS shards, sum(rows) AS rows, sum(bytes) AS bytes,
               round(sum(bytes) / any_value(total.words), 2) AS bytes_per_word
        FROM shards, (SELECT greatest(sum(words), 1) AS words FROM document_stats) AS total
        GROUP BY layer ORDER BY bytes DESC
    """,
}
"""SQL by name. Every query reads the stats layer only, so that it takes milliseconds on caches of any size."""
