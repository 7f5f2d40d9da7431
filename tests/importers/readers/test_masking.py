"""
Personal data by rule: what is masked, what only looks like it, and that a value keeps its place.
"""

import json

import pytest

from harness.importers.readers.masking import RULES, Masks

FOUND = {
    "API keys and tokens": [
        "sk-proj-aB3dE5fG7hI9jK1lM3nO",
        "ghp_0123456789abcdefghijABCDEFGHIJ",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.SflKxwRJSMeKKF2QT4",
    ],
    "passwords in URLs": ["admin:hunter2"],
    "e-mail addresses": ["anna.b+x@mail.example.co.uk", "JÖRG@firma.de"],
    "bank accounts (IBAN)": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819"],
    "payment cards": ["4111 1111 1111 1111", "378282246310005", "5500-0000-0000-0004"],
    "US social security numbers": ["078-05-1120"],
    "phone numbers": [
        "+49 171 1234567",
        "+1 (212) 555-2368",
        "0044 20 7946 0958",
        "0171 1234567",
        "030/901820-44",
        "(212) 555-2368",
        "212-555-2368",
    ],
    "IP addresses": ["203.0.114.7"],
    "IPv6 addresses": ["2a02:8109:9c80:1b2c:0:0:0:1"],
}


@pytest.mark.parametrize(
    ("rule", "value"), [(rule, value) for rule, values in FOUND.items() for value in values]
)
def test_each_kind_is_masked_by_its_own_rule(rule: str, value: str):
    masks = Masks()
    before, after = ("https://", "@host/x") if rule == "passwords in URLs" else ("It is ", ", ok.")

    masked = masks.mask(f"{before}{value}{after}")

    assert [rule] == list(masks.values)
    assert value not in masked
    assert masked.startswith(before)
    assert masked.endswith(after)


def test_every_rule_has_an_example():
    assert [rule.name for rule in RULES] == list(FOUND)


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-03-04 at 17:30:00",
        "order 4711-0815, 12 pieces of 1.234,56 EUR",
        "version 1.2.3 of 10.999.2.1",
        "card 4111 1111 1111 1112 fails its check",
        "GB29NWBK60161331926818 fails its check",
        "order_id A-2217, item 100200300400",
        "call me at 9",
        "@anna said so",
        "12:30:45 until 13:45:00",
        "d41d8cd98f00b204e9800998ecf8427e",
        "from 1990-2000 and 100-200-3000",
    ],
)
def test_dates_orders_versions_and_failed_checks_stay(text: str):
    masks = Masks()

    assert text == masks.mask(text)
    assert {} == masks.values


def test_one_value_has_one_placeholder_wherever_a_conversation_has_it():
    masks = Masks()
    asked = {"content": "Write to Anna@x.org and bob@x.org, call +49 171 1234567."}
    called = {"arguments": json.dumps({"to": ["anna@x.org"], "phone": "0171/1234567"})}

    asked, called = masks.mask([asked, called])

    assert (
        "Write to person-1@example.com and person-2@example.com, call +15550000001."
        == (asked["content"])
    )
    assert {"to": ["person-1@example.com"], "phone": "+15550000001"} == json.loads(
        called["arguments"]
    )


def test_a_card_that_is_a_number_is_one_still():
    masked = Masks().mask({"card": 4111111111111111, "order": 4111111111111112, "paid": True})

    assert {"card": 4000000000000001, "order": 4111111111111112, "paid": True} == masked


def test_no_placeholder_is_taken_for_data_by_a_later_rule():
    masks = Masks()
    every = {rule: [f"https://{each}@h" if "URL" in rule else each for each in values]
             for rule, values in FOUND.items()}  # fmt: skip

    masks.mask(every)

    # The same number four times, with and without its country.
    assert {rule: len(values) for rule, values in FOUND.items()} | {"phone numbers": 4} == {
        rule: len(values) for rule, values in masks.values.items()
    }
