"""VerbNet's verbs, against sentences that one can say."""

import numpy as np
import pytest

from lexicons.features import mask
from lexicons.verbnet import Frame, Slot, class_frames, classes, frames, lemmas

ANIMATE, TABLE, COMPANY = mask("animate", "human"), mask("concrete", "artifact"), mask("organization", "group")


def pattern(frame: Frame) -> str:
    """`Agent:subject Recipient:second_object Theme:object`."""
    return " ".join(
        f"{slot.role}:{slot.position}" + (f"({'|'.join(slot.prepositions)})" if slot.prepositions else "")
        for slot in frame.slots
    )


def patterns(verb_class: str) -> set[str]:
    return {pattern(frame) for frame in class_frames(verb_class)}


def slot_of(verb_class: str, role: str) -> Slot:
    return next(slot for frame in class_frames(verb_class) for slot in frame.slots if slot.role == role)


def test_give_takes_a_receiver_before_the_gift_or_behind_to() -> None:
    assert "give-13.1-1" in classes("give")
    assert "Agent:subject Recipient:second_object Theme:object" in patterns("give-13.1-1")
    assert "Agent:subject Theme:object Recipient:oblique(to)" in patterns("give-13.1-1")


def test_the_receiver_of_a_gift_is_animate_or_an_organization() -> None:
    receiver = slot_of("give-13.1-1", "Recipient")
    assert str(receiver.restriction) == "[+animate | +organization]"
    fillers = np.array([ANIMATE, COMPANY, TABLE, 0], dtype=np.uint64)
    assert receiver.restriction.allows(fillers).tolist() == [True, True, False, True]


def test_a_role_is_required_if_every_frame_of_the_class_has_it() -> None:
    assert slot_of("eat-39.1-1", "Agent").required
    assert not slot_of("eat-39.1-1", "Patient").required  # "Cynthia ate."


def test_a_subclass_has_the_frames_of_its_parents_too() -> None:
    own, parents = patterns("give-13.1-1"), patterns("give-13.1")
    assert parents < own
    assert any("Asset" in frame for frame in own - parents)


def test_an_inherited_frame_keeps_the_parents_restriction() -> None:
    restrictions = {
        str(slot.restriction) for frame in class_frames("put-9.1-2") for slot in frame.slots if slot.role == "Theme"
    }
    assert restrictions == {"[+concrete]", "[+abstract]"}  # "put a cup on the table", "put upon me a task"


@pytest.mark.parametrize(
    ("verb_class", "said", "frame"),
    [
        ("appoint-29.1", "We elected him governor", "Agent:subject Theme:object Result:clause"),
        ("become-109.1-1-1", "He became a banker", "Patient:subject Result:clause"),
        ("create-26.4", "David built a house", "Agent:subject Result:object"),
        ("tell-37.2", "He told me that it rained", "Agent:subject Recipient:second_object Topic:clause"),
        ("rely-70", "She relies on him", "Agent:subject Theme:oblique(on)"),
        ("rely-70", "She relies on coming back", "Agent:subject Theme:clause(on)"),
        ("cheat-10.6.1", "He cheated Pat out of it", "Agent:subject Source:object Theme:oblique(out of)"),
        ("weather-57", "It is raining cats and dogs", "Theme:object"),
        ("matter-91", "It matters that they left", "Stimulus:clause"),
        ("occur-48.3", "There happened an accident", "Theme:subject"),
        ("amuse-31.1", "The clown's antics amused the children", "Experiencer:object"),
        ("cut-21.1", "Carol cut the envelope open", "Agent:subject Patient:object Result:clause"),
        ("supervision-95.2.2", "Martha supervises Kevin", "Agent:subject Co-Agent:object"),
        ("put-9.1", "I put the book there", "Agent:subject Theme:object Destination:oblique"),
    ],
)
def test_a_sentence_has_its_frame(verb_class: str, said: str, frame: str) -> None:
    assert frame in patterns(verb_class), said


def test_classes_of_prepositions_are_spelt_out() -> None:
    loaded = next(s for f in class_frames("spray-9.7") for s in f.slots if s.role == "Destination" and s.prepositions)
    assert {"into", "on", "under"} <= set(loaded.prepositions)
    assert "of" not in loaded.prepositions


def test_a_clause_is_never_restricted() -> None:
    slots = [slot for name in ("say-37.7-1", "tell-37.2") for frame in class_frames(name) for slot in frame.slots]
    assert any(slot.position == "clause" for slot in slots)
    assert not any(slot.restriction for slot in slots if slot.position == "clause")


def test_particle_verbs_are_found_with_a_space_however_verbnet_writes_them() -> None:
    assert classes("give up")
    assert classes("bring up")  # bring-up
    assert classes("calm down") == classes("calm_down")
    assert classes("co-occur")


def test_capitals_do_not_matter_and_unknown_verbs_have_nothing() -> None:
    assert classes("Give") == classes("give")
    assert classes("blorp") == ()
    assert frames("blorp") == ()


def test_all_members_of_verbnet_are_there_and_every_frame_is_sound() -> None:
    assert len(lemmas()) >= 4569
    for lemma in lemmas():
        assert classes(lemma)
        for frame in frames(lemma):
            subjects = [slot for slot in frame.slots if slot.position == "subject"]
            objects = [slot for slot in frame.slots if slot.position == "object"]
            assert len(subjects) <= 1
            assert len(objects) <= 1, (lemma, frame.verb_class, pattern(frame))
            assert not any(slot.prepositions for slot in subjects + objects)


def test_an_unknown_class_is_an_error() -> None:
    with pytest.raises(KeyError):
        class_frames("blorp-1.1")
