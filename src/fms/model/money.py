"""Money is an int64 of minor units and an ISO 4217 code. No float ever touches a price."""

import re
from decimal import Decimal

from fms.errors import Invalid

MAX_MINOR = 10**13
"""The largest price, in minor units: per cent rules in basis points then stay within int64."""

_EXPONENTS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
    "CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
    "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR "
    "MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK "
    "SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD "
    "XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
EXPONENT = {code: exponent for exponent, codes in _EXPONENTS.items() for code in codes.split()}
"""Digits after the point of each currency (ISO 4217), not of how shops show it."""

_AMOUNT = re.compile(r"\d{1,20}(?:\.\d{1,20})?", re.ASCII)


def exponent_of(currency: str) -> int:
    """Digits after the point of ``currency``; raises Invalid for a code that ISO 4217 does not know."""
    try:
        return EXPONENT[currency]
    except KeyError:
        raise Invalid(f"unknown currency {currency!r}") from None


def parse_amount(text: str, currency: str) -> int:
    """The decimal ``text`` in minor units of ``currency``: ``"171.10"`` USD is 17110, ``"12345"`` JPY is 12345.

    Trailing zeros may exceed the currency's digits. Raises Invalid for anything that is not a plain positive
    decimal number, has too many digits, or is above ``MAX_MINOR``.
    """
    exponent = exponent_of(currency)
    if not _AMOUNT.fullmatch(text):
        raise Invalid(f"not a plain decimal amount: {text[:40]!r}")
    minor = Decimal(text).scaleb(exponent)
    if minor != minor.to_integral_value():
        raise Invalid(f"more than {exponent} decimals for {currency}: {text!r}")
    if not 1 <= minor <= MAX_MINOR:
        raise Invalid(f"amount out of range: {text!r}")
    return int(minor)


def format_amount(minor: int, currency: str) -> str:
    """``minor`` units as people write them, without the code: 3800 GBP is ``38.00``, 12345 JPY is ``12345``."""
    exponent = EXPONENT.get(currency, 2)
    if exponent == 0:
        return str(minor)
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor)).zfill(exponent + 1)
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"
