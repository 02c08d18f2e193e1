"""Units whose conversions are exact, and the words that make a number vague or a bound."""

from __future__ import annotations

from fractions import Fraction

ABOUT = (
    ("about",),
    ("around",),
    ("approximately",),
    ("approx",),
    ("roughly",),
    ("nearly",),
    ("almost",),
    ("大", "约"),
    ("约",),
)
BOUNDS = {
    ("over",): "above",
    ("more", "than"): "above",
    ("at", "least"): "above",
    ("under",): "below",
    ("less", "than"): "below",
    ("fewer", "than"): "below",
    ("at", "most"): "below",
    ("up", "to"): "below",
    ("超", "过"): "above",
    ("不", "到"): "below",
}
SIGNS = {"$": "dollar", "£": "pound sterling", "€": "euro", "¥": "yuan or yen", "₹": "rupee"}
MEASURES = frozenset("个位名只条座本部次家人")
"""Chinese measure words that say nothing about what is counted."""


def _table() -> dict[tuple[str, ...], tuple[str, Fraction]]:
    rows: dict[str, list[tuple[str, str]]] = {
        "length": [
            ("1", "m|metre|metres|meter|meters|米"),
            ("1000", "km|kms|kilometre|kilometres|kilometer|kilometers|公 里|千 米"),
            ("0.01", "cm|centimetre|centimetres|centimeter|centimeters|厘 米"),
            ("0.001", "mm|millimetre|millimetres|millimeter|millimeters|毫 米"),
            ("1609.344", "mile|miles|mi|英 里"),
            ("0.9144", "yard|yards|yd"),
            ("0.3048", "foot|feet|ft|英 尺"),
            ("0.0254", "inch|inches|英 寸"),
        ],
        "area": [
            ("1", "square metre|square metres|square meter|square meters|m2|sq m|平 方 米"),
            ("1000000", "square kilometre|square kilometres|square kilometer|square kilometers|km2|sq km|平 方 公 里"),
            ("10000", "hectare|hectares|ha|公 顷"),
            ("2589988.110336", "square mile|square miles|sq mi"),
            ("4046.8564224", "acre|acres"),
        ],
        "weight": [
            ("1", "kg|kgs|kilogram|kilograms|kilo|kilos|公 斤|千 克"),
            ("0.001", "g|gram|grams|克"),
            ("0.000001", "mg|milligram|milligrams|毫 克"),
            ("1000", "tonne|tonnes|metric ton|metric tons|吨"),
            ("0.45359237", "pound|pounds|lb|lbs|磅"),
        ],
        "volume": [("1", "litre|litres|liter|liters|l|升"), ("0.001", "ml|millilitre|millilitres|毫 升")],
        "time": [
            ("1", "second|seconds|sec|secs|秒"),
            ("60", "minute|minutes|min|mins|分 钟"),
            ("3600", "hour|hours|hr|hrs|h|小 时"),
            ("86400", "day|days|天"),
            ("604800", "week|weeks|周|星 期"),
        ],
        "calendar": [
            ("1", "month|months|个 月"),
            ("12", "year|years|yr|yrs|年"),
            ("120", "decade|decades"),
            ("1200", "century|centuries|世 纪"),
        ],
        "speed": [
            ("1", "km h|kmh|kph|kilometres per hour|kilometers per hour"),
            ("1.609344", "mph|miles per hour|mi h"),
            ("3.6", "m s|metres per second|meters per second"),
        ],
        "%": [("1", "percent|per cent|pct")],
        "celsius": [("1", "celsius|degrees celsius|degree celsius|摄 氏 度")],
        "fahrenheit": [("1", "fahrenheit|degrees fahrenheit|degree fahrenheit|华 氏 度")],
        "degree": [("1", "degree|degrees|度")],
        "dollar": [("1", "dollar|dollars|usd|us dollars|us dollar|美 元")],
        "euro": [("1", "euro|euros|eur|欧 元")],
        "pound sterling": [("1", "pounds sterling|pound sterling|gbp|英 镑")],
        "yuan or yen": [("1", "yuan|rmb|yen|元|人 民 币|日 元")],
    }
    return {
        tuple(name.split()): (dimension, Fraction(factor))
        for dimension, units in rows.items()
        for factor, names in units
        for name in names.split("|")
    }


UNITS = _table()
"""Words of a unit → its dimension, and what one of it is in the dimension's first unit."""
