"""Where sentences begin and end, by rules that need no model and no language code.

The marks and closing quotes are Unicode's (UAX 29, Sentence_Break); the rules on top are those
that matter in practice: abbreviations, initials, decimals, quotes, lists, lower case after a
mark. In doubt two sentences stay together: a translator copes with two at once better than with
half of one. `docs/decisions/sentence-splitting.md` says why this is not a library.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex

Span = tuple[int, int]

# A grapheme cluster (UAX 29). `\X` alone looks back to the start of a run of flags at each of them.
CLUSTER = r"(?:\p{RI}{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*+|\X)"

_LINE = regex.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]++")
# What opens an item of a list, a heading, a quoted line or a line of dialogue stays where it is.
_BULLET = regex.compile(
    r"(?:(?:[-*+•‣◦▪●○■□–—―>]|\#{1,6}|[(\[]?\d{1,3}[.)\]]|[(\[]?\p{L}[)\]])\s++)++(?=.*[\p{L}\p{N}])"
)
_MARKS = regex.compile(
    rf"""
    (?<marks>[\p{{SB=STerm}}\p{{SB=ATerm}}…‥‼⁇⁈⁉]++(?:\p{{Zs}}[?!]++)*+)
    (?<closing>(?:[\p{{Pf}}\p{{Pe}}"'’”\u200d\ufe0f]|[*_]{{1,3}}(?=\s|$)|“(?=\s|$)|\p{{Zs}}?[»›](?=[\s\p{{P}}]|$)|\[\d{{1,3}}\])*+)
    (?<emoji>(?:\p{{Zs}}*+(?=[\p{{Extended_Pictographic}}\p{{RI}}--[©®™]]){CLUSTER})++(?=\s|$))?+
    (?<space>[\s\x1c-\x1f]*+)
    """,
    regex.VERBOSE | regex.VERSION1,
)
_OPENING = regex.compile(r"[\p{Ps}\p{Pi}\p{Pd}\"'“„*_\#~•¿¡\s]*+")
_HEAD = regex.compile(r"[^\p{L}\p{N}]{0,40}+(?<letter>\p{L}?)")
_NEXT = regex.compile(r"[\p{L}\p{M}\p{N}]{1,20}")
_LAST = regex.compile(r"(?:[\p{L}\p{M}\p{N}]++[.’'-]?)*+$")
_NO_WORD = regex.compile(r"\P{L}*+(?:[IVXLCDM]{1,6}|[ivx]{1,4}|\p{L})?\P{L}*+$")
_WIDE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\u3000-\u303f\uff00-\uff60]")
_CONTINUES = regex.compile(r"[,;:،؛、，；：)\]}」』】》〉]|[.!?…]")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Always followed by more of the same sentence.
_TITLES = _set(
    """
    adj adm adv amb approx asst av bros bzw ca capt cdr cf cie cmdr col comdr cpl d.h dept dipl dott dr dra drs
    e.g ed éd éds eds eg env esp evtl excl fr frl gen ggf gov hon hptm hr hrn i.e ie incl ing inkl insp lieut lt
    maj messrs mgr mlle mlles mm mme mmes mr mrs ms mt mts o.ä p.ex pr pres prof profs rep resp rev s.o s.u sen
    sens sgt sig sog sr sra srta st ste supt u.a v.a vgl viz vs z.b zzgl
    """
)
# Followed by a number.
_BEFORE_NUMBER = _set(
    """
    abb abs al art arts bd bl chap chaps ch eq eqs fig figs fol hft jg kap lib no nos nr nro núm num op p par pg
    pp pt ref s sec sect ser t tab tel tome vol vols v jan janv feb févr fév mar apr avr jun jul juil aug sep sept
    oct okt nov dec déc dez lv jh jhd § n
    """
)
# May end a sentence; what follows tells.
_EITHER = _set(
    """
    al ave blvd bldg co corp etc hwy inc jr llc ltd mfg no rd sa sr
    """
)
_STARTERS = _set(
    """
    a an and as at but by during each every few for from he her here his how however i if in it its many most my
    no not of on one our several she since so some that the their then there these they this those though to today
    tomorrow we what when where which while who why with would you your yesterday alors au aucun aujourd aussi
    avec car ce cela ces cet cette ceux chaque comme comment dans depuis des donc du elle elles en ensuite est et
    il ils je la le les leur leurs lorsque mais malgré nos notre nous or ou où par pendant personne plusieurs pour
    pourquoi puis quand que quel quelle qui quoi rien sa sans selon ses si son sous sur tous tout tu un une vos
    votre vous aber als auch auf bei da das dass dem den denn der die doch ein eine er es für hier ich ihr im ist
    man mit nach nun sie und von wann warum was weil wenn wer wie wir wo zu ahora así como con cuando de desde
    después ella ellos entonces esta este esto los más muy nosotros para pero por porque sin sobre también usted
    yo ya lo gli una che chi
    """
)
_MONTHS = _set(
    """
    januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert
    jahrhunderts weltkrieg tag klasse
    """
)


def sentences(text: str) -> list[Span]:
    """The spans of the sentences of `text`, in order, without the white space around them.

    A line break always ends a sentence. Between the spans lie white space and the bullets and
    numbers of lists, nothing else; a text of marks or emoji alone is a sentence too. Linear in
    the length of the text.
    """
    return list(iterate(text))


def iterate(text: str) -> Iterator[Span]:
    """`sentences`, one after the other."""
    # matches are short: see `nmt.text.words` for concurrent=False
    for line in _LINE.finditer(text, concurrent=False):
        start, end = line.span()
        while end > start and text[end - 1].isspace():
            end -= 1
        while start < end and text[start].isspace():
            start += 1
        if start == end:
            continue
        if bullet := _BULLET.match(text, start, end, concurrent=False):
            start = bullet.end()
        for found in _MARKS.finditer(text, start, end, concurrent=False):
            if found.end() < end and _ends_sentence(text, start, found, end):
                opens = _opens_quote(text, start, found)
                yield start, found.end("marks") if opens else found.start("space")
                start = found.end("marks") if opens else found.end()
        yield start, end


def _ends_sentence(text: str, start: int, found: regex.Match[str], end: int) -> bool:
    """Whether the sentence begun at `start` ends with the marks just found; more text follows."""
    marks, closing = found["marks"], found["closing"]
    before, after = found.start(), found.end()
    following = text[after]
    if _CONTINUES.match(following):
        return False
    if before == start:  # marks with nothing before them open what follows: "...and then", "?"
        return False
    if not found["space"]:
        return _ends_without_space(text[before - 1], marks, closing, following)
    upcoming = _OPENING.match(text, after, end)
    here = upcoming.end() if upcoming else after
    word = _NEXT.match(text, here, end)
    next_word = word.group() if word else ""
    if next_word and next_word[0].islower():
        return not closing and _informal(text, start, before, marks)
    if marks != ".":
        # an ellipsis before a capital, "!" and "?", or a mark of another script
        return True
    return not _abbreviates(text, start, before, next_word)


def _opens_quote(text: str, start: int, found: regex.Match[str]) -> bool:
    """Whether a straight quote after marks, no space around it, opens the next sentence."""
    quote = found["closing"][:1]
    if found["space"] or quote not in ('"', "'"):
        return False
    return text.count(quote, max(start, found.start() - 500), found.start()) % 2 == 0


def _ends_without_space(previous: str, marks: str, closing: str, following: str) -> bool:
    """Chinese and Japanese leave no space between sentences; every other script does."""
    if not _WIDE.match(following) and not _WIDE.match(marks[-1]):
        return False
    if closing and (closing[-1] in ")）]］】〕" or following == "的" or "ぁ" <= following <= "ゟ"):
        return False  # （是吗？）对, 「はい。」と言った
    if not closing and "ぁ" <= following <= "ゟ" and marks[-1] in "…‥":
        return False
    if _WIDE.match(marks[-1]) or marks[-1] not in ".…‥":
        return bool(_WIDE.match(marks[-1]) or _WIDE.match(previous))
    return bool(closing) and bool(_WIDE.match(previous))


def _informal(text: str, start: int, before: int, marks: str) -> bool:
    """A sentence that itself began in lower case: "how are you? i am fine. and you?"."""
    head = _HEAD.match(text, start, before)
    if head is None or not head["letter"].islower():
        return False
    if marks[-1] in "?!":
        return True
    last = _last_word(text, start, before)
    return marks == "." and len(last) > 3 and last.isalpha() and not _known(last)


def _abbreviates(text: str, start: int, before: int, next_word: str) -> bool:
    """Whether the full stop at `before` belongs to an abbreviation, an initial or a number."""
    if before - start <= 12 and _NO_WORD.match(text, start, before):
        return True  # "1.2. First", "IV. Chapter", "J. Smith"
    last = _last_word(text, start, before)
    low = last.lower()
    digits = next_word[:1].isnumeric()
    if last.isnumeric():
        return len(last) <= 2 and next_word.lower() in _MONTHS  # "am 3. Mai"
    starts = len(next_word) > 1 and next_word.lower() in _STARTERS
    if len(last) == 1:
        if last.islower():
            return digits or (low in _BEFORE_NUMBER and not starts)
        ordinary = _last_word(text, start, before - 2).islower()  # "the Y axis and X. The …", "it was I. He …"
        return not (ordinary and (last == "I" or (starts and last != "M")))
    if low in _BEFORE_NUMBER and digits:
        return True
    if low in _TITLES:
        return True
    dotted = "." in last and all(len(part) <= 2 for part in regex.split(r"[.-]", last))
    if dotted or low in _EITHER or low == "ph.d":
        return low != "no" and low != "etc" and not starts
    return False


def _known(word: str) -> bool:
    return word in _TITLES or word in _BEFORE_NUMBER or word in _EITHER


def _last_word(text: str, start: int, end: int) -> str:
    """The word, with inner dots and hyphens, that ends at `end`; at most 20 characters of it."""
    piece = text[max(start, end - 20) : max(start, end)]
    found = _LAST.search(piece)
    return found.group() if found else ""
