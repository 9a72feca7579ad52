"""Parquet files as DuckDB 2.0.1 and polars 2.1.0 wrote them, packed by zlib, in base64.

Each was made by the line above it, from rows that its test has.
"""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

FILES = {
    # COPY (SELECT * FROM read_json('in.jsonl')) TO 'duckdb-json.parquet'; one `docid` is a number
    "duckdb-json": (
        "eNqVU0FrE0EUfjM7iZGm0IJvmIU9bIu7rFLarhhSJYfUFimSQyk9FVGT7ECD2yxtNm16EfEmePDixZOCF+/2X/TQQw/9AdKDJ/+A4JtNNq"
        "1WhA7LzDfz3vveN/Ox68sbIQIG+HAOBYEiFgGCo4Vf7q3PABwABLNoPthOhsshJb1m+GyOUi+n1ysMfs5QyjKHohAEZgfhLKO1mm84rBTq"
        "4vGQYOsKgcfgZExgmiVdnR4kI2TB3d28/BvHzb/LP04yeD8qbzrMNDajAC33U53Xp75+ePtiArn9rgJqMuq3X0at5732tt5pogAse1wVdv"
        "t679ADqHB1M0ra/R3dTXvIqUVFKBF3eilyE7yhY21iFBgWUnIn8vzGMTXMTkSqBykxoTDhuNnSsXcbpLAdu+GDg2UbwR41xLIU8ol86pdq"
        "yqL3NVMiIRjj6WmwHboroLFjXL52oTHTlqsaqiHWovzC5BvmRzXFqkoYB4g2h9dkzW6Uk77yzxmJJXOURdYYsTm+Siv+KzZ7m4z3jMuB/5"
        "3XVCn37gJJHvzj9M9e8kdBCr8kTy0IglUyePWRu6/3ep2k6+7fm1+cD92g1e/EkbsUVZfC8L5+sHjHbjgA4w9cIlqnP+I3FKKSmw=="
    ),
    # COPY (SELECT UUID '1234...' AS query_id, 'who' AS query, DATE '2024-12-31' AS doc_id, 'one' AS text, 12.5 AS
    # score, CASE WHEN true THEN 1.0 END AS relevance) TO 'duckdb.parquet'
    "duckdb": (
        "eNqNU81Kw0AQnm7TGkssVtglkR7ioSFKqa1UbKEXSw+epAh6EkqbLLQYG+yfFRR8AhGfwIOv4FuIT+IrCM5u+mdLREiGmf3m+2Yys6kfnx"
        "UoUJNaWUrQidM4gP2+/21ungOYW8WLcQT6TypCSWou56yVAaIAcNv28Vyl28sJyg7A+BTgb7rf5eH0B5D0EDQhUGLcH4K+4Q6dK7fV6Dtt"
        "ft2kmixJQVdvhrx31+i43pdI1jKgx+RRRlAxiru+g3BGC0BlwMeDKRbrO36PZxJYOp69FBYmyHqPe3zU7DoBqkhUQZQRI214FqRp0qBgzO"
        "tTjRFWZSeWWtE3xWQX39UTBvY/slIpMNJUTIhgbVFVk1WDT5Ql86xq1St6FLckDQrP/FU6kfTJTCR/j1Wsl0hFV8QmA4sSC1FYD3KSsxY+"
        "USKKq5ZG9DD1w3oIZj9r4ZlgC+I2BFa0MI/CNOZbmul8CJ2EZCYmOvPotw57JYxYKnuMgm3X8HrVquaI9/odv2uODnL5XMG0W8OO55ol96"
        "hUKBR5Ob9reGmApQfeUK6O/9oPjJSPkg=="
    ),
    # COPY (SELECT 'who' AS query, ['one', 'two']::VARCHAR[2] AS documents UNION ALL SELECT 'why', NULL)
    "duckdb-array": (
        "eNpVUctKw1AQPUlv2yhV6WIuCUSIi8YIoTZisYIIlX5AERddCGKbCy22DW2S1oJ7f8APcSO49ANciF/iDwhOfFQKl5kDc+45c5h28zwgkE"
        "1VnwSDAhUA72n/09mcADkA83700xY8/tCo45OxQrzd1vC8w5TmOppbGTcaq6wl80gAxbf7i5fWY55067IOcyNMezdh9yru9dXomgSoVIGZ"
        "n6RquqgAdd1cC6NeOlLjJCadTerCFMNBnJCeUXWzqIYqmzJZCsu2fBc2lSyC9atCJSnkqWy7xomZ47WzEkl4S1wuw7I5AlgSWH5v/Bt/G/"
        "4ZsZ4hH3R553ZYkEOZOQ4ohbfEq4LyXZfCNeSrBs9rcdrWmTNT03gQjZ3ZQbVWDRyvmw6GodMIjxpBcKiOa3uWbwP8sKsBbT7KF6G9VC0="
    ),
    # DataFrame of Decimal, Categorical and Enum columns, .write_parquet("polars.parquet")
    "polars": (
        "eNqVVd9rIlcUvo6jcUMIadl7UZgHaZshIUvUSYK6sEvvRCea+jNV40qgVWc0yarTqHFWKX3avrV96lOf+tKXPvWhhT4WCn1a8geUspSlf0"
        "AfS6DQe+7MaLrLpnQYzpx7v3O+851zL1qiRzEs4mUs5bCAEUIbP0T+Dvs2EfKwRRMjvIbfusci1rAf+x04QBESGCx6kBevhPaQfy0UDFxc"
        "GsPpB2c6XiEiqZGZ/FAOIJa5isM3uZeSCHnZwjo1/we7j7Nz6gb5RL72yD95EMvPYQXy0Y18+VOE3nUIBAHtvBH2vo1XQ+vIHwr6dbPtSh"
        "yQinwtgEIJb+eAxCFYvbAVmgMDPmMLhL6J33lZ6J2sK9TjFeZKxbHxZMwLnJMvPPIzUX4q2krvv6L0G4Q+dJSKL5BoCOj34FJUcNX6Rm1z"
        "aDhiT+Qrn82z+wrP5whlHJ5lJunrn5UFyZ2h0TMmzUHbJarJz/0oJJGHOEVYDvOuPQtXwBXHfSZizXGvfPjEcZ/7cQ1cLIQ+zohD02S9Ir"
        "yyLiwuwDrKSRABm/a5uTvsKmDBPYT1Zejm3glYN5wP79/R9hBYsMiDRTvYxha9MVzguMBxIoakUE/+0SP9x/0kfy7hu0j+S5Buv2rkaQAT"
        "JF95pVuuEvmKB/3qk26/DeQ7HvetX3r9SZNfeMz3S9LtB0l+gzjyh0hEOUA+892FUwqu0KOj4vH9UfvU6DeDX/oj8ESr+5TSLHWfUo5tJq"
        "rgqvyldL9Lc5R24Zum6dQWw9Mc7zJTsCAmSssQzLYznCXh5LPkc4iHSMqTKHdV1XLq5Tje534ZzGOAp43jJz29r10+UkCK2o5MIpHsnNTR"
        "W247JKkR4IfdOaSBaSuFSbvPW7mAVjmcAavySu/f0KPN63NjQvzBQtR7YPKz8aTVr86KO0c7LcvpR0uWK1pSq/RqhXqsoVa0mladLcZJi3"
        "GYpzpfq641aboMFBaYS6i3z+dfmc9XP6jt6nZWG/DMa/tXDcDt/h/B+nFLKXSax0x7scWQLT6EczAHXffkqN1fupru0ib0ydYNmEcKFjCi"
        "+TxSUeC3i1pOfQukZJ35WcUZjeuV/LRoLYZWj6n5erSg1tK1TCV2eFiOavl8dzGarRIjtVw+54qUQG/CjTqAfZWm0lCfn1pGizXqh3sAxi"
        "F/as0P0e2H11ezoI9903R/oZvNdxax51u29x2+utJjF+/BAxQslMxeczgKb3w0HZ+ag83wxBiOzsxBWNmObUfDG63Ls54ejneSUaWl73Q6"
        "uhLvdBKKHttV4olmNNlUknudjtKJNw09qWyGeuxn66UXbfgQKrE/2X8ASayc3A=="
    ),
    # DataFrame with documents: Array(String, 2), the second null, .write_parquet("polars-array.parquet")
    "polars-array": (
        "eNqVU8tu00AUHT8wrRRBhXpHtvDCC2KlIsrDEBIjNpO+EhGKk0WbIjZJbDcPN6Zx0pCfQHwEC36ADUu+oFs2fAcbJO5MnMIKiVnMnXPvOe"
        "fOlWY81imDCiYUWhgIIbkvxV/WvStCFATLYbwOKyDwAB7lkbMDGmgpb7tJiIwEVZIUGTJGhWg7hn7nahHMVpChKh3TD5Lt2VsE9c+gkUct"
        "+Uv/8Ptar8i8jXJfNI2nAQ/zZYyOWaIZtW0/Hiwug+k8UaNRMr8bRAFH2EGjXTq2byRimNSDI4o6PN1IMOZHkI23DXUWx3NQCWSycnq1LG"
        "mZWK7I+h9nkEFrveBZVRddQF5LNt1SEVUN08jbPyTzn/PSjwrsEvurbP7HEPSTApTQbxJV7S36U9rl0+gZ1um8PnueDIbBZU//LBf5cs8Z"
        "rkO+1a4Rv2+nWKReMpawfRHb7LGH9eWS55uMXaQ8PLJ6wkFdVMbcVJh4fFvz6sKtvdn2J7z18a1ImDDWEYTbuigdR6U3ZyWRdfn9ls2Uc8"
        "7vhbYTbjLpOyfl/tnpwm+8QnyQcH1LWKXkjT+aHl6gjsf2uu9B6lgU87V56YjjQfc0GkwnjOgnXhz1ZomVe7eaD+PpnnUdzJJRPLWcQrlQ"
        "snL9xSjyrWrolpy+/yQMfacahjXHLz91qrVeye05biUMnbDaC3zX2TPy+AD4G+jim/Xw4/wG6g28Iw=="
    ),
}


def made(name: str, folder: Path) -> Path:
    """The file, in `folder`."""
    path = folder / f"{name}.parquet"
    path.write_bytes(zlib.decompress(base64.b64decode(FILES[name])))
    return path
