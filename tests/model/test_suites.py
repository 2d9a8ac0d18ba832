"""BLiMP, GAP and IMDb on made-up data of the same format; and what is said where the data is not there."""

import json
import lzma
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.evaluate.blimp import Pair, blimp, judged, read_blimp
from model.evaluate.gap import gap, nearest, variants
from model.evaluate.imdb import fit_probe, imdb, probe_accuracy, read_imdb, untrained
from model.evaluate.intervals import ratio_interval, wilson
from model.evaluate.suites import SUITES, check_data
from pipeline.gap import COLUMNS, read_gap
from pipeline.pieces import Tokenizer
from tests.model.readers import text_model

PAIRS = (
    ("The cat sleeps.", "The cat sleep.", "agreement"),
    ("The cats sleep.", "The cats sleeps.", "agreement"),
    ("She saw him.", "She saw him.", "binding"),
)


class Likes:
    """A reader for whom every letter s is a nat, so that answers can be told by eye."""

    tokenizer: Tokenizer = text_model().tokenizer

    def ids(self, text: str) -> NDArray[np.int32]:
        return self.tokenizer.document(text)

    def nats(self, documents: Sequence[NDArray[np.int32]]) -> list[NDArray[np.float64]]:
        spelt = [[self.tokenizer.piece_bytes[each] for each in ids[1:]] for ids in documents]
        return [np.array([float(piece.count(b"s")) for piece in pieces]) for pieces in spelt]


def write_blimp(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("agreement", "binding"):
            rows = [pair for pair in PAIRS if pair[2] == name]
            said = [{"sentence_good": good, "sentence_bad": bad, "linguistics_term": name} for good, bad, _ in rows]
            archive.writestr(f"data/{name}_1.jsonl", "\n".join(map(json.dumps, said)))
    return file


def write_gap(file: Path) -> Path:
    text = "Anna met Beth. Then Anna said that she had lost her keys."
    rows = [
        ("1", text, "she", text.index("she"), "Anna", text.rindex("Anna"), "TRUE", "Beth", text.index("Beth"), "FALSE"),
        ("2", text, "her", text.index("her k"), "Anna", 0, "FALSE", "Beth", text.index("Beth"), "FALSE"),
        ("3", "James saw Otto and his dog.", "his", 19, "James", 0, "FALSE", "Otto", 10, "TRUE"),
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join((*COLUMNS, "URL")), *("\t".join(map(str, (*row, "u"))) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def write_imdb(folder: Path, reviews: int = 40) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        said = [{"text": f"{'good ' if n >= reviews // 2 else 'awful '}{n}", "label": int(n >= reviews // 2)}
                for n in range(reviews)]  # fmt: skip
        with lzma.open(folder / f"{part}.jsonl.xz", "wt", encoding="utf-8") as file:
            file.write("\n".join(map(json.dumps, said)))
    return folder


def test_the_likelier_sentence_wins_and_ties_are_wrong(tmp_path: Path) -> None:
    sets = read_blimp(write_blimp(tmp_path / "blimp.zip"))
    assert list(sets) == ["agreement_1", "binding_1"]
    assert sets["binding_1"] == [Pair("She saw him.", "She saw him.", "binding")]
    # fewer s are likelier: `sleep` beats `sleeps` wherever it stands
    assert judged(Likes(), sets["agreement_1"]) == (1, 0)  # type: ignore[arg-type]
    assert judged(Likes(), sets["binding_1"]) == (0, 1)  # type: ignore[arg-type]
    found = blimp(Likes(), tmp_path / "blimp.zip")  # type: ignore[arg-type]
    assert found["overall"]["accuracy"] == pytest.approx(1 / 3)  # type: ignore[index]
    assert found["overall"]["identical"] == 1  # type: ignore[index]
    assert [row["phenomenon"] for row in found["phenomena"]] == ["agreement", "binding"]  # type: ignore[attr-defined]


def test_a_model_scores_sentences_without_the_documents_end(tmp_path: Path) -> None:
    text = text_model()
    pair = Pair("The cat sat.", "The cat sit.", "agreement")
    good, bad = (text.nats([text.ids(each)])[0][:-1].sum() for each in (pair.good, pair.bad))
    assert judged(text, [pair]) == (int(good < bad), 0)


def test_a_part_of_each_set_is_drawn_under_the_seed(tmp_path: Path) -> None:
    file = write_blimp(tmp_path / "blimp.zip")
    found = blimp(Likes(), file, most=1, seed=3)  # type: ignore[arg-type]
    assert found["overall"]["cases"] == 2  # type: ignore[index]
    assert found == blimp(Likes(), file, most=1, seed=3)  # type: ignore[arg-type]


def test_what_is_no_archive_of_blimp_says_so(tmp_path: Path) -> None:
    (tmp_path / "blimp.zip").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"fetch blimp_data\.zip again"):
        read_blimp(tmp_path / "blimp.zip")


def test_names_take_the_pronouns_place_in_its_form(tmp_path: Path) -> None:
    she, her, his = read_gap(write_gap(tmp_path / "gap.tsv"))
    [(text, end)] = variants(she, 1)
    assert text == "Anna met Beth. Then Anna said that Beth had lost her keys."
    assert text[:end].endswith("that Beth")
    assert [text[:end].rsplit(" ", 1)[1] for text, end in variants(her, 0)] == ["Anna", "Anna's"]
    assert [text for text, _ in variants(his, 0)] == ["James saw Otto and James' dog."]
    assert [nearest(case) for case in (she, her, his)] == [0, 1, 1]


def test_preferences_are_scored_by_gender_and_against_the_nearest_name(tmp_path: Path) -> None:
    found = gap(Likes(), write_gap(tmp_path / "gap.tsv"))  # type: ignore[arg-type]
    assert (found["cases"], found["neither"]) == (3, 1)
    whole = found["whole"]
    # `she`: no s in either name, a tie, wrong. `his`: Otto's has one s, James' has one, too: a tie as well.
    assert whole["all"]["right"] == 0  # type: ignore[index]
    assert whole["all"]["cases"] == 2  # type: ignore[index]
    assert found["shorter_name"]["masculine"]["right"] == 1  # Otto; Anna and Beth tie
    assert found["shorter_name"]["feminine"]["right"] == 0
    nearest_name = found["nearest_name"]
    assert nearest_name["feminine"]["accuracy"] == nearest_name["masculine"]["accuracy"] == 1.0  # type: ignore[index]
    # two of three answers are hits, two of two names are wanted: 2·2 / (3 + 2)
    assert nearest_name["all"]["f1"] == pytest.approx(0.8)  # type: ignore[index]
    assert nearest_name["f1_feminine_over_masculine"] == pytest.approx(2 / 3)  # type: ignore[index]


def test_a_models_preferences_agree_with_scores_of_the_written_texts(tmp_path: Path) -> None:
    text, [she, _, his] = text_model(length=64), read_gap(write_gap(tmp_path / "gap.tsv"))
    found = gap(text, tmp_path / "gap.tsv")
    right = 0
    for case, true in ((she, 0), (his, 1)):
        nats = [min(float(text.nats([text.ids(each)])[0][:-1].sum()) for each, _ in variants(case, n)) for n in (0, 1)]
        right += nats[true] < nats[1 - true]
    assert found["whole"]["all"]["right"] == right  # type: ignore[index]


def test_reviews_are_shuffled_under_a_seed(tmp_path: Path) -> None:
    folder = write_imdb(tmp_path)
    some = read_imdb(folder / "train.jsonl.xz", 20, seed=0)
    assert 0 < sum(each.positive for each in some) < 20  # the file is sorted by label
    assert some == read_imdb(folder / "train.jsonl.xz", 20, seed=0)
    assert some != read_imdb(folder / "train.jsonl.xz", 20, seed=1)


def test_a_probe_finds_what_is_there_and_nothing_where_there_is_nothing() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(300) < 0.5).astype(float)
    rows = random.normal(size=(300, 5))
    told = rows.copy()
    told[:, 2] += 3 * (labels - 0.5)
    assert probe_accuracy(told[:200], labels[:200], told[200:], labels[200:])["accuracy"] > 0.85
    assert probe_accuracy(rows[:200], labels[:200], rows[200:], labels[200:])["accuracy"] < 0.65


def test_the_probe_is_at_the_minimum_of_its_loss() -> None:
    random = np.random.default_rng(1)
    rows, labels = random.normal(size=(80, 3)), (random.random(80) < 0.4).astype(float)
    weights = fit_probe(rows, labels, 0.1)
    scaled = (rows - rows.mean(0)) / rows.std(0)
    off = 1 / (1 + np.exp(-(scaled @ weights[:-1] + weights[-1]))) - labels
    np.testing.assert_allclose(scaled.T @ off / 80 + 2 * 0.1 * weights[:-1], 0, atol=1e-6)
    assert off.mean() == pytest.approx(0, abs=1e-6)


def test_reviews_are_told_apart_by_frozen_states(tmp_path: Path) -> None:
    found = imdb(text_model(), write_imdb(tmp_path))
    assert found["fitted_on"] == 40
    assert found["trained"]["accuracy"] > 0.9  # type: ignore[index]
    with pytest.raises(ValueError, match="a probe needs"):
        imdb(text_model(), tmp_path, most=10)


def test_an_untrained_model_is_the_same_under_a_seed_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = untrained(text_model().model, 1), untrained(text_model().model, 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.embedding.weight, other.embedding.weight)
    assert one.embedding.weight.dtype == text_model().model.embedding.weight.dtype


def test_missing_data_says_what_to_fetch(tmp_path: Path) -> None:
    for name in SUITES:
        with pytest.raises(ValueError, match=r"VALENCY_DATA"):
            check_data(name, tmp_path)
    write_blimp(tmp_path / "blimp" / "blimp_data.zip")
    check_data("blimp", tmp_path)


def test_intervals() -> None:
    low, high = wilson(8, 10)  # 0.490 and 0.943 in Agresti and Coull's tables
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(5, 5)[1] == 1.0
    same = ratio_interval(np.full((4, 1), 2.0), np.full((4, 1), 8.0))
    assert same == (pytest.approx(0.25), pytest.approx(0.25))
    above, below = np.array([[1.0], [3.0], [2.0]]), np.ones((3, 1))
    low_X, high_X = ratio_interval(above, below)
    assert 1 <= low_X[0] < 2 < high_X[0] <= 3
    nothing = ratio_interval(np.zeros((3, 1)), np.zeros((3, 1)))
    assert np.isnan(nothing[0][0])


@pytest.mark.parametrize("name", list(SUITES))
def test_real_data_has_its_published_size(valency_data: Path, name: str) -> None:
    if name == "blimp":
        sets = read_blimp(valency_data / "blimp" / "blimp_data.zip")
        pairs = [pair for each in sets.values() for pair in each]
        assert (len(sets), len(pairs), sum(pair.good == pair.bad for pair in pairs)) == (67, 67_000, 7)
        assert len({pair.phenomenon for pair in pairs}) == 13
    elif name == "gap":
        cases = read_gap(valency_data / "gap" / "gap-development.tsv")
        assert len(cases) == 2_000
        for case in cases:
            for number, (first, last) in enumerate(case.names):
                assert variants(case, number)[0][0].count(case.document.text[first:last]) >= 2
    else:
        reviews = read_imdb(valency_data / "lra" / "imdb" / "test.jsonl.xz", 200, seed=0)
        assert 70 <= sum(each.positive for each in reviews) <= 130
