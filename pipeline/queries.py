"""The named queries of `valency stats`: plain SQL over the views of pipeline.stats, one table to read them all."""

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
