"""How many queries must people judge, and which ones? `draw` chooses, `pool` says what of each, `number` how many,
`precision` what the judged ones tell, and `inference` what they tell beside a model that judged all.
"""
