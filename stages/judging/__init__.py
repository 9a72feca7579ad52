"""How many queries must people judge, and which ones? `draw` chooses, `pool` says what of each, `number` how many, and
`precision` what the judged ones tell.
"""
