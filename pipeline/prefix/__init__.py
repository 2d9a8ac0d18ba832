"""The left-to-right annotator: what the pieces so far prove about words, sentences and tags."""

from pipeline.prefix.annotator import SHIPPED as SHIPPED
from pipeline.prefix.annotator import PrefixAnnotator as PrefixAnnotator
from pipeline.prefix.state import NO_TAG as NO_TAG
from pipeline.prefix.state import Attributes as Attributes
from pipeline.prefix.state import Block as Block
from pipeline.prefix.state import PieceAttributes as PieceAttributes
from pipeline.prefix.state import PrefixState as PrefixState
