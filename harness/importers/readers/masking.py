"""
Personal data in texts, found by rules and put out of the way.

Each value becomes a placeholder of its kind, the same one wherever the conversation has it, so that
an argument is still what the user said. What no rule can tell, such as names of people and streets,
stays.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    One kind of personal data.
    """

    name: str
    pattern: re.Pattern[str]
    placeholder: str
    """With ``{n}`` for the number of the value within its conversation, from 1."""
    is_one: Callable[[str], bool] = lambda _: True
    """Whether what the pattern found is such data."""
    key: Callable[[str], str] = str.casefold
    """What is equal for two spellings of one value."""


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _passes_luhn(text: str) -> bool:
    digits = [int(each) for each in reversed(_digits(text))]
    doubled = [sum(divmod(2 * each, 10)) for each in digits[1::2]]
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    plain = re.sub(r"\s", "", text)
    if not 15 <= len(plain) <= 34:
        return False
    # ISO 13616: the first four characters go last, letters become 10 to 35.
    number = "".join(str(int(each, 36)) for each in plain[4:] + plain[:4])
    return int(number) % 97 == 1


def _is_phone(text: str) -> bool:
    return 8 <= len(_digits(text)) <= 15


def _is_address(text: str) -> bool:
    return all(int(part) < 256 for part in text.split("."))


RULES: tuple[Rule, ...] = (
    Rule(
        name="API keys and tokens",
        pattern=re.compile(
            r"\b(?:(?:sk|pk|rk)[-_][\w-]{16,}|gh[opsu]_\w{20,}|xox[abprs]-[\w-]{10,}"
            r"|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,})"
            r"|(?<=Bearer )[\w.~+/-]{16,}"
        ),
        placeholder="secret-{n}",
        key=str,
    ),
    Rule(
        name="passwords in URLs",
        pattern=re.compile(r"(?<=://)[^\s/@:\"]+:[^\s/@\"]+(?=@)"),
        placeholder="user-{n}:secret",
        key=str,
    ),
    Rule(
        name="e-mail addresses",
        pattern=re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}"),
        placeholder="person-{n}@example.com",
    ),
    Rule(
        name="bank accounts (IBAN)",
        pattern=re.compile(
            r"\b[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: \d{1,3})?)\b"
        ),
        placeholder="XX00MASKED{n:08d}",
        is_one=_is_iban,
        key=lambda text: re.sub(r"\s", "", text),
    ),
    Rule(
        name="payment cards",
        pattern=re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w])"),
        placeholder="400000000000{n:04d}",
        is_one=_passes_luhn,
        key=_digits,
    ),
    Rule(
        name="US social security numbers",
        pattern=re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"),
        placeholder="000-00-{n:04d}",
        key=_digits,
    ),
    Rule(
        name="phone numbers",
        pattern=re.compile(
            r"(?<![\w.+])(?:(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){6,14}"
            r"|0[1-9]\d{1,4}[ /-]{1,3}\d(?:[ -]?\d){4,9}"
            r"|(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. ])[2-9]\d{2}[-. ]\d{4})(?!\w)"
        ),
        placeholder="+1555{n:07d}",
        is_one=_is_phone,
        # With or without the country: the last digits are the subscriber.
        key=lambda text: _digits(text)[-8:],
    ),
    Rule(
        name="IP addresses",
        pattern=re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]\d|\w)"),
        placeholder="192.0.2.{n}",
        is_one=_is_address,
    ),
    Rule(
        name="IPv6 addresses",
        pattern=re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){4,7}(?::?[0-9A-Fa-f]{1,4})(?![\w:])"),
        placeholder="2001:db8::{n}",
    ),
)
"""Applied in this order: a later rule never sees what an earlier one has masked. Placeholders are
of ranges that nobody has (RFC 2606, 3849 and 5737), or fail the check of their kind."""


_SUSPICIOUS = re.compile(r"[\d@]|[\w.~+/-]{16}")
"""Only in a text with a digit, an @ or a long token can a rule find anything."""


class Masks:
    """
    What was masked in one conversation.

    *clean* collects texts in which nothing was found; conversations that are given the same one
    share what they have in common, such as a system text.
    """

    def __init__(self, *, clean: set[str] | None = None) -> None:
        self.values: dict[str, dict[str, str]] = {}
        """Rule -> value -> its placeholder."""
        self._clean = set() if clean is None else clean

    def mask(self, value: Any) -> Any:
        """
        Return *value* (JSON types) with every text in it masked; keys are left as they are.
        """
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self.mask(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.mask(inner) for inner in value]
        if isinstance(value, int) and value >= 10**12 and _passes_luhn(str(value)):
            return int(self._text(str(value)))
        return value

    def _text(self, text: str) -> str:
        if text in self._clean:
            return text
        masked = text
        for rule in RULES if _SUSPICIOUS.search(text) else ():
            masked = rule.pattern.sub(partial(self._placeholder, rule), masked)
        if masked == text:
            self._clean.add(text)
        return masked

    def _placeholder(self, rule: Rule, found: re.Match[str]) -> str:
        text = found[0]
        if not rule.is_one(text):
            return text
        known = self.values.setdefault(rule.name, {})
        return known.setdefault(rule.key(text), rule.placeholder.format(n=len(known) + 1))
