"""A first stage that is made here: BM25 over the corpus, by bm25s. `first_stage` is the way in."""
