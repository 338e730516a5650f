"""Money is an integer of minor units and a currency."""

import pytest

from fms.errors import Invalid
from fms.model.money import EXPONENT, MAX_MINOR, format_amount, parse_amount


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("171.10", "USD", 17_110),
        ("12345", "JPY", 12_345),
        ("12345.00", "JPY", 12_345),
        ("45.250", "KWD", 45_250),
        ("199", "GBP", 19_900),
        ("0.0001", "CLF", 1),
        ("100000000000", "USD", MAX_MINOR),
    ],
)
def test_an_amount_is_read_by_the_digits_of_its_currency(text: str, currency: str, minor: int) -> None:
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("12345.5", "JPY"),
        ("1.001", "USD"),
        ("-5", "USD"),
        ("0", "USD"),
        ("0.00", "USD"),
        ("NaN", "USD"),
        ("1e5", "USD"),
        ("£5", "GBP"),
        ("1,000", "USD"),
        (" 5", "USD"),
        ("", "USD"),
        ("٣", "USD"),
        ("100000000000.01", "USD"),
        ("5", "XXX"),
        ("5", "usd"),
    ],
)
def test_anything_else_is_refused(text: str, currency: str) -> None:
    with pytest.raises(Invalid):
        parse_amount(text, currency)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (3_800, "GBP", "38.00"),
        (5, "USD", "0.05"),
        (12_345, "JPY", "12345"),
        (45_250, "KWD", "45.250"),
        (-50, "EUR", "-0.50"),
    ],
)
def test_minor_units_are_shown_as_people_write_them(minor: int, currency: str, text: str) -> None:
    assert format_amount(minor, currency) == text


@pytest.mark.parametrize("currency", sorted(EXPONENT))
def test_every_currency_reads_what_it_writes(currency: str) -> None:
    assert parse_amount(format_amount(987_654, currency), currency) == 987_654
