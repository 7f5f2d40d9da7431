import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reports.escape import cell, code, cut, line, prose, visible, xml

ANY = st.text(st.characters())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 日本 é", "plain text, 日本 é"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b", "\\x9b"),
        ("\u202ecod", "\\u202ecod"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("a\tb\rc", "a\\tb\\rc"),
        ("a\nb\r\nc", "a⏎b⏎c"),
        ('{"a": "\\n"}', '{"a": "\\n"}'),
    ],
)
def test_what_cannot_be_seen_is_spelled(text: str, shown: str):
    assert shown == line(text)


@given(ANY)
def test_a_line_is_printable_and_one_line(text: str):
    assert line(text).isprintable()


@given(ANY)
def test_printable_text_stays_as_it_is(text: str):
    printable = "".join(char for char in text if char.isprintable())

    assert printable == visible(printable)


@given(ANY)
def test_xml_text_holds_only_what_xml_allows(text: str):
    allowed = {"\n"}

    assert all(
        char in allowed or (char.isprintable() and unicodedata.category(char) not in ("Cs", "Cn"))
        for char in xml(text)
    )


def test_a_cut_says_how_much_is_missing():
    assert "abc" == cut("abc", 3)
    assert "abc… (+2,000 characters)" == cut("abc" + "d" * 2000, 3)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("a", "`a`"),
        ("a`b", "``a`b``"),
        ("`a", "`` `a ``"),
        ("``", "``` `` ```"),
        (" a ", "`  a  `"),
        ("", "(empty)"),
        ("  ", "(blank)"),
        ("a\nb", "`a⏎b`"),
        ("</details>", "`</details>`"),
    ],
)
def test_a_code_span_is_longer_than_what_it_holds(text: str, span: str):
    assert span == code(text)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        (
            "accuracy fell from 95.7% to 85.3% (p 0.0015); -3.0 points, 3/4",
            "accuracy fell from 95.7% to 85.3% (p 0.0015); -3.0 points, 3/4",
        ),
        ("second_call_rate, too", "`second_call_rate`, too"),
        ("(kb_1)", "(`kb_1`)"),
        (" led and ended ", " led and ended "),
        ("see @everyone", "see `@everyone`"),
        ("<b>bold</b>", "`<b>bold</b>`"),
        ("![a](b)", "`![a](b`)"),
        ("www.evil.example", "`www.evil.example`"),
        ("http://evil.example.", "`http://evil.example`."),
        ("--allow-mismatch dtype", "`--allow-mismatch` dtype"),
        ("- item", "`-` item"),
        ("#1 and GH-12", "`#1` and `GH-12`"),
        ("$x$ *y* ~z~ :tada:", "`$x$` `*y*` `~z~` `:tada`:"),
        ("a`b", "``a`b``"),
        ("deadbeef12 &amp;", "`deadbeef12` `&amp`;"),
    ],
)
def test_prose_makes_a_code_span_of_what_could_come_alive(text: str, markdown: str):
    assert markdown == prose(text)


def test_a_bar_stays_inside_its_cell():
    assert "`a\\|b`" == cell(code("a|b"))
