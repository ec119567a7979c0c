"""Strings that tokenizers trip over, always the same ones: docstrings, and random text of many scripts and symbols."""

import functools
import importlib
import random

__all__ = ["LONG", "corpus", "long_strings", "ordinary", "prose", "strange"]

_MODULES = ("argparse", "asyncio", "collections", "csv", "datetime", "decimal", "email", "functools", "json", "logging",
    "os", "pathlib", "random", "re", "shutil", "socket", "statistics", "string", "subprocess", "threading",
    "unittest", "urllib.parse", "zipfile")  # fmt: skip

_ALPHABETS = {
    "latin": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "accents": "àáâãäåçèéêëìíîïñòóôõöùúûüýÿœæßøđłžšćΐΰ",
    "decomposed": "e\u0301a\u0308o\u0327n\u0303u\u0302",
    "greek": "αβγδεζηθικλμνξοπρσςτυφχψω",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "devanagari": "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसहािीुूृेैोौंःँ्ॐ१२३",
    "tamil": "அஆஇஈஉஊகஙசஞடணதநபமயரலவழளறனாிீுூெேைொோௌ்",
    "thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศษสหอฮะาิีึืุูเแโใไ่้๊๋์",
    "han": (
        "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心"
        "多天而能好都然没日于起还发成事只作当想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長"
    ),
    "kana": "あいうえおかきくけこさしすせそたちつてとアイウエオカキクケコサシスセソタチツテトー",
    "hangul": "가나다라마바사아자차카타파하한국어모델문장각힣",
    "jamo": "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשתםןץףך\u05b0\u05b8",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأإئؤة\u064b\u064e\u0651ﷺ",
    "right-to-left marks": "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2069",
    "digits": "0123456789٠١٢٣४५६Ⅷ½²",
    "punctuation": ".,;:!?-_()[]{}<>\"'`´’“”«»…—–/\\|@#$%^&*+=~§¶•",
    "symbols": "€£¥₹∑∏√∞≈≠≤≥←→↑↓☃★♥♫✓✗™©®°µ",
    "emoji": "😀😂🥰😎🤖🎉🚀🔥💯👍🙏🐍🍕⚽🇩🇪🇮🇳",
    "spaces": " \t\n\r\u00a0\u2003\u3000\u200b\ufeff\u2028\x0b\x0c\x85",
    "controls": "\x00\x01\x02\x07\x08\x0e\x1b\x1f\x7f\x80\x9f\ufffd\ufffe\ue000",
    "halfwidth": "ｱｲｳｴｵＡＢＣ１２３！？",
    "ligatures": "ﬁﬂﬀﬃǆǲİıſẞ",
    "astral": "𝓐𝓑𝔸𝟘𝟙𐍈𐎀𒀀𝄞🀄𠀀𪜶",
}  # fmt: skip

_JOINED = ("👨‍👩‍👧‍👦", "👩🏽‍🚀", "🏳️‍🌈", "🧑🏿‍🤝‍🧑🏻", "❤️‍🔥", "👁️‍🗨️", "1️⃣", "🇯🇵🇧🇷", "🫱🏻‍🫲🏿",
    "क्‍ष", "می‌خواهم")  # fmt: skip

_SPECIAL = (
    "", " ", "\n", "\x00", "[CLS]", "[SEP] a [MASK] b", "<s>", "</s>", "<mask>", " <mask> x", "<pad>", "[UNK]",
    "a" * 300, "\u0301", "\ufeff", "\ufeffword", "##ing", "▁", "▁▁ x", "Ġ", "'s 'll don't", "…" * 50, "e\u0301" * 40,
    " leading", "trailing ", "two  spaces",
    "tab\tand\nnewline\r\n", "http://example.com/a?b=c&d=e#f", "user@example.com",
    "3.14159e-10", "C++/C#", "ÀÉÎÕÜ", "İstanbul", "STRASSE straße", "ﷺ ﷺ", "\u202eabc\u202c",
    "a\u0300\u0301\u0302\u0303b",
    "𠀀𠀁", "x\u200dy", "ก็", "각", "\u1100\u1161\u11a8",
)  # fmt: skip

LONG = 1 << 20
"""Bytes of the long strings in UTF-8."""


@functools.cache
def prose() -> tuple[str, ...]:
    """Docstrings of the standard library, and their paragraphs."""
    found: dict[str, None] = {}
    for name in _MODULES:
        module = importlib.import_module(name)
        objects = [module, *(value for _, value in sorted(vars(module).items()) if callable(value))]
        for value in objects:
            text = getattr(value, "__doc__", None)
            if isinstance(text, str) and text.strip():
                found.update(dict.fromkeys([text, *text.split("\n\n")]))
    return tuple(found)


@functools.cache
def strange(count: int = 9000, seed: int = 4) -> tuple[str, ...]:
    """Random strings: words of one script, of several, and of any character there is."""
    chance = random.Random(seed)
    names = list(_ALPHABETS)
    found = list(_SPECIAL) + list(_JOINED)
    while len(found) < count:
        some = chance.sample(names, chance.choice((1, 1, 2, 3)))
        pieces = []
        for _ in range(chance.randint(1, 14)):
            kind = chance.random()
            if kind < 0.08:
                pieces.append(chance.choice(_JOINED))
            elif kind < 0.13:
                pieces.append(chance.choice(_SPECIAL))
            elif kind < 0.2:
                pieces.append("".join(_any(chance) for _ in range(chance.randint(1, 6))))
            else:
                alphabet = _ALPHABETS[chance.choice(some)]
                pieces.append("".join(chance.choice(alphabet) for _ in range(chance.randint(1, 10))))
        found.append(chance.choice((" ", " ", "", "\n")).join(pieces))
    return tuple(found)


@functools.cache
def ordinary() -> tuple[str, ...]:
    """What a tokenizer is trained on: prose, and the random strings without characters of no script."""
    known = set("".join(_ALPHABETS.values()))
    return (*prose()[:1500], *(text for text in strange()[:3000] if known.issuperset(text)))


def corpus() -> list[str]:
    """More than 10,000 strings."""
    return [*prose(), *strange()]


def long_strings() -> dict[str, str]:
    """A long string of each kind: prose, many scripts, one word without an end, and joined emoji."""
    pieces = {"prose": " ".join(prose()), "scripts": " ".join(strange()), "one word": "ab", "emoji": "👩🏽‍🚀"}
    found = {}
    for name, text in pieces.items():
        content = text.encode()
        found[name] = (content * (LONG // len(content) + 1))[:LONG].decode(errors="ignore")
    return found


def _any(chance: random.Random) -> str:
    while True:
        code = chance.randrange(0x110000)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)
