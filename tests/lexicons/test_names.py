"""First names and what they tell of gender."""

from lexicons.names import FEMININE, MASCULINE, UNKNOWN, first_name_gender, is_first_name


def test_names_tell_their_gender_and_those_of_both_nothing() -> None:
    told = first_name_gender(["Mary", "JOHN", "leslie", "Zyxa"])
    assert told.tolist() == [FEMININE, MASCULINE, UNKNOWN, UNKNOWN]
    assert is_first_name(["Leslie", "Zyxa"]).tolist() == [True, False]


def test_the_licence_travels_with_the_list() -> None:
    from lexicons.tables import table

    assert "Mark Kantrowitz" in table("first_names.tsv").read_text().splitlines()[1]
    assert "redistribute" in table("LICENSE-names.txt").read_text()
