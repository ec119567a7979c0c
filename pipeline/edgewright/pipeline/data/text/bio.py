"""The rules of BIO: an entity begins with B- and goes on with I- of the same type; O is no entity."""

import re
from collections.abc import Iterable, Sequence

from edgewright.runtime.hints import did_you_mean
from edgewright.runtime.text.words import OUTSIDE

_BIO = re.compile(r"[BI]-.+")
_OTHER_FORMS = re.compile(r"[ESLU]-.+")


def is_bio(tags: Iterable[str]) -> bool:
    """Whether tags are of BIO, or of one of its forms, rather than plain labels of words such as NOUN."""
    return any(_BIO.fullmatch(tag) or _OTHER_FORMS.fullmatch(tag) for tag in tags)


def bio_problem(tags: Sequence[str]) -> tuple[int, str] | None:
    """The first word whose tag breaks the rules of BIO, and what is wrong with it."""
    before = OUTSIDE
    for place, tag in enumerate(tags):
        if tag != OUTSIDE and not _BIO.fullmatch(tag):
            if _OTHER_FORMS.fullmatch(tag):
                return place, f"the tag {tag!r} is of BIOES or BILOU: convert the file to BIO (B-, I-, O)"
            return place, f"the tag {tag!r} is neither O nor B-TYPE nor I-TYPE: correct it"
        if tag.startswith("I-") and before[2:] != tag[2:]:
            return (
                place,
                f"{tag!r} follows {before!r}, and in BIO an entity begins with B-: write 'B-{tag[2:]}' "
                "(convert a file whose entities begin with I-)",
            )
        before = tag
    return None


def unknown_tag(tag: str, known: Sequence[str], owner: str) -> str:
    """The line for a tag that is not in a list; `owner` is whose list it is."""
    shown = f"{', '.join(known[:12])}{' ...' if len(known) > 12 else ''}"
    return f"the tag {tag!r}{did_you_mean(tag, known, 1)} is not in {owner} ({shown}): correct it, or add it there"


def sort_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags in the order of the model's outputs: O first, then B- and I- of each type, types in alphabetical order."""

    def key(tag: str) -> tuple[bool, str, str]:
        prefix, _, name = tag.partition("-")
        return (tag != OUTSIDE, name or prefix, prefix if name else "")

    return tuple(sorted(set(tags), key=key))
