"""Recipes: TOML there and back, and errors that say what would do."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.config import ModelConfig, Recipe, TrainConfig, changed, load_recipe, recipe_names
from model.toml import write
from model.views import cost


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_read_and_written_back(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    (tmp_path / "again.toml").write_text(write(recipe))
    assert load_recipe(tmp_path / "again.toml") == recipe


@pytest.mark.parametrize(("size", "near"), [("tiny", 6), ("sample", 2), ("base", 2)])
def test_dense_and_views_differ_in_their_views_alone(size: str, near: int) -> None:
    dense, views = load_recipe(f"{size}-dense"), load_recipe(f"{size}-views")
    assert replace(views, name=dense.name, model=replace(views.model, views=dense.model.views)) == dense
    assert [str(view) for view in dense.model.head_views()] == ["dense"] * 8
    assert [str(view) for view in views.model.head_views()] == ["dense"] * (8 - near) + ["sentence"] * near
    assert {cost(view) for view in views.model.head_views()[8 - near :]} == {"linear"}


@given(
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.floats(1e-6, 1.0),
    st.sampled_from([("dense",), ("~(pos | sentence)", "window(9)")]),
)
def test_any_settings_are_written_and_read_back(name: str, rate: float, views: tuple[str, ...]) -> None:
    import tomllib

    from model.toml import build

    recipe = Recipe(name=name, model=ModelConfig(views=views, tags=True), train=TrainConfig(learning_rate=rate))
    assert build(Recipe, tomllib.loads(write(recipe)), "here") == recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\n[train]\nstep = 3', "train: unknown setting 'step'; did you mean 'steps'?"),
        (
            'name = "x"\n[optimizer]\nlr = 3',
            "unknown setting 'optimizer'; it may hold: name, leaky, control, model, train",
        ),
        ('name = "x"\n[train]\nsteps = "3"', "train: steps is '3'; give a whole number"),
        ('name = "x"\n[train]\nsteps = true', "train: steps is True; give a whole number"),
        ('name = "x"\n[train]\nsteps = 0', "train: steps is 0; give at least 1"),
        ('name = "x"\n[model]\nviews = "dense"', "model: views is 'dense'; give a list of strings"),
        ('name = "x"\n[model]\nviews = ["sentense"]', "did you mean 'sentence'?"),
        ('name = "x"\n[model]\nviews = ["dense", "pos", "sentence"]', "8 heads must share out evenly"),
        ('name = "x"\n[model]\ndim = 100', "model: dim is 100; with 8 heads give a multiple of 16"),
        ('name = "x"\n[model]\npattern = ["view"]', "model: pattern holds 'view'; did you mean 'views'?"),
        ('name = "x"\nmodel = 3', "model is 3; write it as a table, [model]"),
        ('name = "x"\n[train]\nprecision = "bf16-mix"', "did you mean 'bf16-mixed'?"),
        ("leaky = false", "there is no 'name'; it must be given"),
        ('name = "x"\nleaky = true', "let its name say so, as in 'x-leaky'"),
        ('name = "x"\ncontrol = "other-tag"', "control is 'other-tag'; did you mean 'other-tags'?"),
        ('name = "x-leaky"\nleaky = true\ncontrol = "other-tags"', "has control 'other-tags'; choose one of the two"),
        ("name = ", "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_said_with_what_would_do(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"recipe\.toml") as error:
        load_recipe(file)
    assert said in str(error.value)


def test_a_changed_recipe_says_so_in_its_name() -> None:
    recipe = load_recipe("tiny-views")
    assert changed(recipe, None, None) == recipe
    other = changed(recipe, seed=3, steps=20)
    assert (other.name, other.train.seed, other.train.steps) == ("tiny-views,seed=3,steps=20", 3, 20)
    assert other.train.warmup == 20  # warm-up fits into the steps


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown recipe 'tiny-view'; did you mean 'tiny-views'"):
        load_recipe("tiny-view")
    with pytest.raises(ValueError, match="there is no file"):
        load_recipe("missing.toml")


UNREASONABLE = {
    'name = "../x"': "cannot be called '../x'",
    'name = ""': "cannot be called ''",
    'name = "x"\n[train]\nlearning_rate = nan': "must be above 0",
    'name = "x"\n[train]\nclip = inf': "must be above 0",
    'name = "x"\n[train]\nclip = ' + "9" * 400: "give a number",
    'name = "x"\n[train]\nweight_decay = nan': "from 0 to 1",
    'name = "x"\n[model]\ntag_loss = nan': "at least 0",
    'name = "x"\n[model]\nviews = ["' + "(" * 5000 + '"]': "5,000 characters",
    "x = " + "[" * 5000 + "]" * 5000: "beyond reason",
}


@pytest.mark.parametrize("text", UNREASONABLE, ids=lambda text: text[:40])
def test_what_no_recipe_should_say_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ValueError, match=UNREASONABLE[text]):
        load_recipe(tmp_path / "mine.toml")


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(ValueError, match=r"cannot read .*mine\.toml"):
        load_recipe(tmp_path / "mine.toml")


def test_layers_may_have_views_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "mixed.toml"
    file.write_text('name = "mixed"\n[model]\nlayers = 3\nlayer_views = [["dense"], ["sentence", "window(4)"]]\n')
    model = load_recipe(file).model
    seen = [list(dict.fromkeys(map(str, model.head_views(layer)))) for layer in range(3)]
    assert seen == [["dense"], ["sentence", "window(4)"], ["dense"]]
    assert list(model.distinct_views()) == ["dense", "sentence", "window(4)"]
    again = tmp_path / "again.toml"
    again.write_text(write(load_recipe(file)))
    assert load_recipe(again) == load_recipe(file)
