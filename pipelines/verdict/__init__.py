"""May a run pass, and is its difference from another real? `runs` holds runs beside each other, `rules` judges them."""
