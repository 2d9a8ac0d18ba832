"""Generation: a model that reads pieces one at a time, and draws the next one.

    trained = load_trained(Path("runs/sample-near"))
    for said in generate(trained, Sampling(seed=1), prompt="The river", pieces=100):
        print(said.text, end="")

`Stream` is what stands under it: `read(piece)` gives the logits of the piece after it, the same as the model over the
whole text gives. Where all views are near it forgets the pieces that no later one can see (model.generate.sight).
"""

from model.generate.sampling import Sampling as Sampling
from model.generate.stream import Stream as Stream
from model.generate.text import Said as Said
from model.generate.text import generate as generate
from model.generate.trained import Trained as Trained
from model.generate.trained import load_trained as load_trained
