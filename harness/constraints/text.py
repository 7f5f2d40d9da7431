"""
How texts are compared: without letter case, and with the signs that a keyboard has.

Two texts are the same if nobody who types them can tell them apart. So letter case and Unicode's
compatibility forms are ignored (an ellipsis is three full stops, a no-break space is a space), and
a sign that auto-correction puts in place of a typed one counts as the typed one.
"""

import unicodedata
from functools import lru_cache

_TYPED = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2039\u203a\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"),
        **dict.fromkeys("\u2014\u2015", "--"),
    }
)
"""
Quotation marks and apostrophes, hyphens, the en dash and minus; the em dash, for which two hyphens
are typed.
"""


@lru_cache(maxsize=4096)
def typed(text: str) -> str:
    """
    Return a text as a plain keyboard has it: NFKC, without typographic signs.
    """
    return unicodedata.normalize("NFKC", text).translate(_TYPED)


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """
    Return the form in which the text keywords compare: `typed`, and casefold.
    """
    return typed(text).casefold()
